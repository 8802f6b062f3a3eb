import { type WeightsAnnouncement } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from '../index';
import { RunState } from './run-state';
import { verifyLedger } from '../groups/verify-ledger';

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

const SETTINGS = { maxStaleness: 0, candidatesPerBatch: 3, steps: 8 };
const announcement = (version: number, epoch: number): WeightsAnnouncement => ({
  schemaVersion: 1,
  version,
  epoch,
  path: '/weights',
  sizeBytes: 1,
  sha256: String(version).repeat(64),
});

async function newRun(): Promise<RunState> {
  const state = new RunState(redis, `run-${count++}`);
  states.push(state);
  await state.create({ seed: 1 }, SETTINGS);
  await state.weights.announce(announcement(0, await state.newEpoch()));
  return state;
}

/** Stores a group whose tokens are of `version`. */
async function store(state: RunState, index: number, version: number): Promise<void> {
  await state.publishGroup(index, Buffer.from('episodes'), {
    replica: '0',
    oldest: version,
    newest: version,
  });
  for (const { entryId, payload } of await state.readGroups('buffer', 1, 0))
    await state.storeGroup(entryId, { index, version }, payload);
}

/** Trains `trained` of three groups at a step, one more of which failed before if `fails`. */
async function step(state: RunState, epoch: number, trained: number, fails = false): Promise<void> {
  const version = await state.version();
  const admitted = await state.admit(9);
  if (fails) {
    const failure = { code: 'BUG_INVARIANT', message: 'its reward throws', attempts: 3, payload: '{}' };
    await state.rejectGroup({ index: admitted.shift()!.index }, 'failed', failure);
    admitted.push(...(await state.admit(9)));
  }
  const indices = admitted.map(({ index }) => index);
  for (const index of indices) await store(state, index, version);
  const groups = indices.slice(0, trained).map((index) => ({ index, advantages: [1] }));
  await state.formBatch({ schemaVersion: 4, version, groups, statistics: {} }, indices.slice(trained));
  await state.readBatch('trainer', 0);
  await state.commitStep(version, announcement(version + 1, epoch));
}

const problemsOf = async (state: RunState) => verifyLedger(await state.ledgerSnapshot());

describe('the position of a run', () => {
  it('counts what was trained, not selected or given up by the commit, and nothing after it', async () => {
    const state = await newRun();
    expect(await state.resumption.position(0)).toEqual({ nextIndex: 0, trained: 0 });
    await step(state, 1, 2);
    expect(await state.resumption.position(1)).toEqual({ nextIndex: 3, trained: 2 });
    await step(state, 1, 3, true);
    const position = { nextIndex: 7, trained: 5 };
    expect(await state.resumption.position(2)).toEqual(position);
    await state.admit(9);
    const failure = { code: 'BUG_INVARIANT', message: 'its reward throws', attempts: 3, payload: '{}' };
    await state.rejectGroup({ index: 8 }, 'failed', failure);
    expect(await state.resumption.position(2)).toEqual(position);
  });
});

describe('a run that is opened again', () => {
  it('goes on with all that it held, to more steps', async () => {
    const state = await newRun();
    await step(state, 1, 2);
    await state.admit(9);
    await store(state, 3, 1);
    const { ledger } = await state.ledgerSnapshot();
    await state.setPhase('finished', 'all 8 steps are done');
    await state.setWaitingFor('a trainer');
    const told = await state.resumption.reopen(
      { seed: 1, steps: 20 },
      { maxStaleness: Infinity, candidatesPerBatch: 3, steps: 20, stopAtAccuracy: 0.9 },
    );
    expect(await state.phase()).toEqual({ phase: 'running', message: null });
    expect([await state.waitingFor(), await state.config()]).toEqual([null, { seed: 1, steps: 20 }]);
    expect((await state.readTelemetry('0', 1)).at(-1)).toEqual({
      id: told,
      event: { kind: 'run', state: 'resumed' },
    });
    expect((await state.ledgerSnapshot()).ledger).toEqual(ledger);
    expect(await problemsOf(state)).toEqual([]);
    expect(await state.controls.steering()).toMatchObject({
      maxStaleness: Infinity,
      steps: 20,
      stopAtAccuracy: 0.9,
    });
  });
});

describe('a state that is made from a checkpoint', () => {
  it('goes on at its version and prompt, with a ledger that adds up, in place of what was there', async () => {
    const state = await newRun();
    await step(state, 1, 2, true);
    await step(state, 1, 3);
    const position = await state.resumption.position(2);
    await step(state, 1, 1);
    await state.admit(9);
    await redis.hset(`${state.keys.queuePrefix}:rollout:r-1`, 'data', '{}');
    const told = await state.resumption.restore({ seed: 1 }, SETTINGS, { version: 2, epoch: 4, ...position });

    expect(await redis.keys(`${state.keys.queuePrefix}:rollout:*`)).toEqual([]);
    expect(await state.readTelemetry('0', 1)).toEqual([
      { id: told, event: { kind: 'run', state: 'resumed' } },
    ]);
    expect(await state.weights.latest()).toBe(null);
    expect(await state.resumption.position(2)).toEqual(position);
    const epoch = await state.newEpoch();
    expect(epoch).toBe(5);
    await state.weights.announce(announcement(2, epoch));
    expect(await problemsOf(state)).toEqual([]);
    expect(await state.ledger()).toEqual({
      admitted: 7,
      inFlight: 0,
      buffered: 0,
      leased: 0,
      trained: 5,
      discarded: { 'not-selected': 1, 'before-resume': 1 },
      isBalanced: true,
    });
    // As the run that was not interrupted: three groups of version 2, from prompt 7 on.
    expect(await state.admit(9)).toEqual(
      [7, 8, 9].map((index) => expect.objectContaining({ index, minVersion: 2 }) as unknown),
    );
    for (const index of [7, 8, 9]) await store(state, index, 2);
    await state.formBatch(
      { schemaVersion: 4, version: 2, groups: [{ index: 7, advantages: [1] }], statistics: {} },
      [8, 9],
    );
    await state.readBatch('trainer', 0);
    await expect(state.commitStep(2, announcement(3, 4))).rejects.toMatchObject({ code: 'STALE_EPOCH' });
    await state.commitStep(2, announcement(3, epoch));
    expect(await problemsOf(state)).toEqual([]);
    expect(await state.resumption.position(3)).toEqual({ nextIndex: 10, trained: 6 });
  });

  it('is the same when the call is sent twice, and at step 0', async () => {
    const state = await newRun();
    await state.emit({ kind: 'step', step: 1, values: {} });
    for (let i = 0; i < 2; i++)
      await state.resumption.restore({}, SETTINGS, { version: 0, epoch: 1, nextIndex: 0, trained: 0 });
    await state.weights.announce(announcement(0, await state.newEpoch()));
    expect(await problemsOf(state)).toEqual([]);
    expect(await state.readTelemetry('0', 1)).toHaveLength(1);
    expect(await state.admit(9)).toHaveLength(3);
  });
});
