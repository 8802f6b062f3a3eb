import { encode, type WeightsAnnouncement } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from '../index';
import { RunState } from '../run/run-state';
import { verifyLedger } from './verify-ledger';

let server: TestRedis;
let redis: Redis;
let count = 0;
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterEach(() => {
  for (const state of states.splice(0)) state.close();
});
afterAll(() => server.stop());

const announcement = (version: number, epoch: number): WeightsAnnouncement => ({
  schemaVersion: 1,
  version,
  epoch,
  path: '/weights',
  sizeBytes: 1,
  sha256: String(version).repeat(64),
});

const batchOf = (version: number, indices: number[]) => ({
  schemaVersion: 4 as const,
  version,
  groups: indices.map((index) => ({ index, advantages: [1] })),
  statistics: {},
});

/**
 * Groups in every state there is: 0 and 1 trained at step 0, 2 not selected for it, 3 leased for step 1, 4 and 5 not
 * selected, 6 buffered, 7 published, 8 failed, 9 to 11 in flight.
 */
async function busyRun(): Promise<RunState> {
  const state = new RunState(redis, `run-${count++}`);
  states.push(state);
  await state.create({}, { maxStaleness: 2, candidatesPerBatch: 3, steps: 8 });
  const epoch = await state.newEpoch();
  await state.weights.announce(announcement(0, epoch));
  await state.admit(9);
  for (const index of [0, 1, 2, 3, 4, 5, 6]) await store(state, index);
  await state.formBatch(batchOf(0, [1, 0]), [2]);
  await state.readBatch('trainer', 0);
  await state.commitStep(0, announcement(1, epoch));
  await state.formBatch(batchOf(1, [3]), [4, 5]);
  await state.publishGroup(7, Buffer.from('episodes'), { replica: '1', oldest: 0, newest: 1 });
  const failure = { code: 'BUG_INVARIANT', message: 'its reward throws', attempts: 3, payload: '{}' };
  await state.rejectGroup({ index: 8 }, 'failed', failure);
  expect(await state.admit(9)).toHaveLength(4);
  return state;
}

async function store(state: RunState, index: number): Promise<void> {
  await state.publishGroup(index, Buffer.from('episodes'), { replica: '0', oldest: 0, newest: 0 });
  for (const { entryId, payload } of await state.readGroups('buffer', 1, 0))
    await state.storeGroup(entryId, { index, version: 0 }, payload);
}

const problemsOf = async (state: RunState) => verifyLedger(await state.ledgerSnapshot());

it('finds nothing wrong with a batch that was rolled back, and what is wrong with its groups', async () => {
  const state = await busyRun();
  const epoch = await state.newEpoch();
  await state.readBatch('trainer', 0);
  const again = { ...announcement(2, epoch), sha256: announcement(0, epoch).sha256 };
  await state.commitStep(1, again, { to: 0, isAsked: false });
  expect(await problemsOf(state)).toEqual([]);
  const { ledger, groups, versions, run } = await state.ledgerSnapshot();
  expect(ledger).toMatchObject({ leased: 0, trained: 2, discarded: { 'rolled-back': 1 }, isBalanced: true });
  expect(groups.get(3)).toMatchObject({ state: 'discarded', reason: 'rolled-back', step: 1 });
  expect(versions.get(2)).toMatchObject({ rolledBackTo: 0, batch: { indices: [3] } });
  // The step consumed its candidates: their admission did not return, the bound went up.
  expect(run).toMatchObject({ version: 2, nextBatch: 2, started: run.nextIndex - 1 });
  await redis.hset(state.keys.records, '3', 'd m0 r0 v0-0 s1 xstale');
  expect(await problemsOf(state)).toContain(
    'group 3: in the batch of step 1, which is committed, but not rolled back',
  );
});

it('finds nothing wrong with a group that was dropped in flight, whose place another one takes', async () => {
  const state = await busyRun();
  expect(await state.dropStale(9)).toBe(true);
  // Done twice, and of groups that are not in flight any more.
  for (const index of [9, 7, 6, 0]) expect(await state.dropStale(index)).toBe(false);
  expect(await problemsOf(state)).toEqual([]);
  expect(await state.ledger()).toMatchObject({ inFlight: 4, discarded: { stale: 1 }, isBalanced: true });
  expect(await state.deadLetters.counts()).toMatchObject({ kept: 1 });
  expect(await state.publishGroup(9, Buffer.from('late'))).toBe('duplicate');
  expect(await state.admit(9)).toEqual([{ index: 13, minVersion: 1 }]);
});

describe('verifyLedger', () => {
  it('finds nothing wrong with a run whose groups are everywhere', async () => {
    const state = await busyRun();
    expect(await problemsOf(state)).toEqual([]);
    const { ledger, groups, versions } = await state.ledgerSnapshot();
    expect(ledger).toEqual({
      admitted: 13,
      inFlight: 5,
      buffered: 1,
      leased: 1,
      trained: 2,
      discarded: { 'not-selected': 3, failed: 1 },
      isBalanced: true,
    });
    const origin = { replica: '0', oldest: 0, newest: 0 };
    expect([0, 2, 8, 9].map((index) => groups.get(index))).toEqual([
      {
        index: 0,
        state: 'trained',
        minVersion: 0,
        replayOf: null,
        position: null,
        origin,
        step: 0,
        reason: null,
      },
      {
        index: 2,
        state: 'discarded',
        minVersion: 0,
        replayOf: null,
        position: null,
        origin,
        step: 0,
        reason: 'not-selected',
      },
      {
        index: 8,
        state: 'discarded',
        minVersion: 0,
        replayOf: null,
        position: null,
        origin: null,
        step: null,
        reason: 'failed',
      },
      {
        index: 9,
        state: 'inFlight',
        minVersion: 0,
        replayOf: null,
        position: null,
        origin: null,
        step: null,
        reason: null,
      },
    ]);
    expect([...versions.values()]).toEqual([
      { version: 0, weightsHash: '0'.repeat(64), epoch: 1, rolledBackTo: null, batch: null },
      {
        version: 1,
        weightsHash: '1'.repeat(64),
        epoch: 1,
        rolledBackTo: null,
        batch: { indices: [1, 0], maxStaleness: 2 },
      },
    ]);
  });

  it.each<[string, (state: RunState) => Promise<unknown>, string[]]>([
    [
      'a count that is not that of its groups',
      ({ keys }) => redis.hincrby(keys.ledger, 'trained', 1),
      [
        'ledger: trained is 3, but the count of their records is 2',
        'ledger: admitted is not the sum of the others',
      ],
    ],
    [
      'two counts that are wrong by as much',
      ({ keys }) =>
        Promise.all([redis.hincrby(keys.ledger, 'buffered', 1), redis.hincrby(keys.ledger, 'leased', -1)]),
      [
        'ledger: buffered is 2, but the count of their records is 1',
        'ledger: leased is 0, but the count of their records is 1',
      ],
    ],
    [
      'a lost group',
      ({ keys }) => redis.hdel(keys.records, '9'),
      [
        'ledger: inFlight is 5, but the count of their records is 4',
        'group 9: admitted, but no record',
        'group 9: in pending, but unknown',
      ],
    ],
    [
      'a group nobody admitted',
      ({ keys }) => redis.hset(keys.records, '99', 'd m0 xfailed'),
      [
        'ledger: discarded:failed is 1, but the count of their records is 2',
        'started is 12, but admitted without what returned is 11',
        'group 99: a record, but never admitted',
      ],
    ],
    [
      'a record that says nothing',
      ({ keys }) => redis.hset(keys.records, '6', 'lost in thought'),
      [
        'the record of group 6 is lost in thought',
        'ledger: buffered is 1, but the count of their records is 0',
        'group 6: admitted, but no record',
        'group 6: in the buffer, but unknown',
        'group 6: in payloads, but unknown',
      ],
    ],
    [
      'an admission that returned twice',
      ({ keys }) => redis.hincrby(keys.run, 'started', -1),
      ['started is 11, but admitted without what returned is 12'],
    ],
    [
      'a group without its job',
      ({ keys }) => redis.hdel(keys.pending, '10'),
      ['group 10: inFlight, but not in pending'],
    ],
    [
      'a buffered group without its episodes',
      ({ keys }) => redis.hdel(keys.payloads, '6'),
      ['group 6: buffered or leased, but not in payloads'],
    ],
    [
      'a trained group that is in the buffer again',
      ({ keys }) => redis.hset(keys.buffer, '0', '{"index":0,"version":0}'),
      ['group 0: in the buffer, but trained'],
    ],
    [
      'a group that is twice in the groups stream',
      ({ keys }) => redis.xadd(keys.groups, '*', 'index', '7', 'payload', 'again'),
      ['group 7: twice in the groups stream'],
    ],
    [
      'a published group that is gone',
      ({ keys }) => redis.del(keys.groups),
      ['group 7: published, but not in the groups stream'],
    ],
    [
      'a batch that is gone from the stream',
      ({ keys }) => redis.del(keys.batches),
      [
        'step 1: leased, but its batch is not in the stream',
        '0 batches in the stream, but 1 are formed and not committed',
      ],
    ],
    [
      'a lease that is gone',
      ({ keys }) => redis.del(keys.leases),
      ['group 3: leased, but not in the leases', 'step 1: formed, but no lease'],
    ],
    [
      'a batch with a group that was not leased',
      async ({ keys }) => {
        await redis.del(keys.batches);
        const entry = await redis.xadd(keys.batches, '*', 'batch', encode(batchOf(1, [3, 6])));
        await redis.hset(keys.leases, '1', JSON.stringify({ entry, indices: ['3'], maxStaleness: '2' }));
      },
      ['step 1: its batch in the stream has other groups or another step'],
    ],
    [
      'a group that was trained twice',
      ({ keys }) =>
        redis.hset(
          keys.versions,
          '1',
          JSON.stringify({
            weightsHash: '1'.repeat(64),
            epoch: 1,
            groups: ['1', '0', '0'],
            maxStaleness: '2',
          }),
        ),
      ['group 0: trained at step 0 and at step 0'],
    ],
    [
      'a trained group that no batch had',
      ({ keys }) =>
        redis.hset(
          keys.versions,
          '1',
          JSON.stringify({ weightsHash: '1'.repeat(64), epoch: 1, groups: ['1'], maxStaleness: '2' }),
        ),
      ['group 0: trained, but in no batch that was committed'],
    ],
    [
      'a step that was not committed',
      ({ keys }) => redis.hset(keys.run, 'version', '2'),
      [
        'step 1: leased, but the batches due are 2 to 1',
        '1 batches in the stream, but 0 are formed and not committed',
        'version 2: no record of what it was made of',
        'version is 2, but 1 was announced last',
      ],
    ],
    [
      'a trained group that was too old',
      ({ keys }) =>
        redis.hset(
          keys.versions,
          '1',
          JSON.stringify({ weightsHash: '1'.repeat(64), epoch: 1, groups: ['1', '0'], maxStaleness: '-1' }),
        ),
      [
        'group 1: tokens of versions 0 to 0 at step 0, admitted for 0 and newer, maxStaleness -1',
        'group 0: tokens of versions 0 to 0 at step 0, admitted for 0 and newer, maxStaleness -1',
      ],
    ],
    [
      'weights that are not those that were announced',
      ({ keys }) =>
        redis.hset(
          keys.versions,
          '1',
          JSON.stringify({ weightsHash: 'other', epoch: 1, groups: ['1', '0'], maxStaleness: '2' }),
        ),
      ['version 1: the weights announced are not those recorded'],
    ],
  ])('finds %s', async (_what, corrupt, problems) => {
    const state = await busyRun();
    await corrupt(state);
    expect(await problemsOf(state)).toEqual(problems);
  });

  it('is right after every call of a history that is shorter than the run, which it counts on', async () => {
    const state = new RunState(redis, 'short-history', { history: 4 });
    states.push(state);
    await state.create({}, { maxStaleness: 0, candidatesPerBatch: 2, steps: 8 });
    const epoch = await state.newEpoch();
    for (let step = 0; step < 8; step++) {
      const admitted = await state.admit(10);
      const [first, second] = admitted.map(({ index }) => index);
      for (const { index } of admitted) {
        await state.publishGroup(index, Buffer.from('e'), { replica: '0', oldest: step, newest: step });
        for (const { entryId, payload } of await state.readGroups('buffer', 1, 0))
          await state.storeGroup(entryId, { index, version: step }, payload);
      }
      await state.formBatch(batchOf(step, [first!]), [second!]);
      await state.readBatch('trainer', 0);
      await state.commitStep(step, announcement(step + 1, epoch));
      expect(await problemsOf(state)).toEqual([]);
    }
    const { ledger, forgotten, groups, versions } = await state.ledgerSnapshot();
    expect(ledger).toMatchObject({ admitted: 16, trained: 8, discarded: { 'not-selected': 8 } });
    expect(forgotten).toEqual({ trained: 6, discarded: { 'not-selected': 6 } });
    expect([...groups.keys()].sort((a, b) => a - b)).toEqual([12, 13, 14, 15]);
    expect([...versions.keys()].sort((a, b) => a - b)).toEqual([7, 8]);
  });
});
