import { encode } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from 'ioredis';
import { RunState } from '../run/run-state';

let redis: TestRedis;
let connection: Redis;
beforeAll(async () => {
  redis = await startTestRedis();
  connection = await redis.connect();
});
afterAll(() => redis.stop());

let runs = 0;
const states: RunState[] = [];
afterEach(() => {
  for (const state of states.splice(0)) state.close();
});

async function newRun(): Promise<RunState> {
  const state = new RunState(connection, `run-${++runs}`, { deadLetters: 3 });
  await state.create({}, { maxStaleness: 0, candidatesPerBatch: 1, steps: 8 });
  states.push(state);
  return state;
}

const announcement = (version: number, epoch: number, sha256 = '0'.repeat(64)) =>
  ({ schemaVersion: 1, version, epoch, path: 'p', sizeBytes: 1, sha256 }) as const;
const add = (stream: string, field: string, value: Buffer | string) =>
  connection.xadd(stream, '*', field, value);

describe('a batch that is none', () => {
  it('is a dead letter, and the one behind it is trained', async () => {
    const state = await newRun();
    const { batches } = state.keys;
    const forged = {
      schemaVersion: 4 as const,
      version: 0,
      groups: [{ index: 0, advantages: [1] }],
      statistics: {},
    };
    for (const bytes of [Buffer.from('nonsense'), encode({ ...forged, schemaVersion: 1 }), encode(forged)])
      await add(batches, 'batch', bytes);
    await add(batches, 'other', 'x');
    const index = (await state.admit(1))[0]!.index;
    await state.publishGroup(index, Buffer.from('episodes'));
    const [group] = await state.readGroups('buffer', 1, 0);
    await state.storeGroup(group!.entryId, { index, version: 0 }, group!.payload);
    await state.formBatch(forged, []);
    expect((await state.readBatch('trainer', 0))?.batch.version).toBe(0);
    expect(await state.rejections.totals()).toEqual({
      'batches/not-msgpack': 1,
      'batches/wrong-version': 1,
      'batches/unknown': 1,
      'batches/wrong-shape': 1,
    });
    expect(await state.deadLetters.counts()).toMatchObject({ kept: 3, dropped: 1 });
  });
});

describe('announced weights', () => {
  it('are those that a trainer announced, whatever else is in the stream', async () => {
    const state = await newRun();
    const epoch = await state.newEpoch();
    await state.weights.announce(announcement(0, epoch));
    const { weights } = state.keys;
    await add(weights, 'announcement', encode(announcement(9, epoch)));
    await add(weights, 'announcement', encode(announcement(0, epoch, '1'.repeat(64))));
    await add(weights, 'announcement', encode({ ...announcement(0, epoch), schemaVersion: 3 }));
    await add(weights, 'x', 'y');
    const other = new RunState(await redis.connect(), state.runId);
    states.push(other);
    const [latest, next] = await Promise.all([state.weights.latest(), other.weights.next('0', 0)]);
    expect([latest, next].map((found) => found?.announcement)).toEqual([
      announcement(0, epoch),
      announcement(0, epoch),
    ]);
    // Two readers refused them, and each is counted once.
    expect(await state.rejections.totals()).toEqual({
      'weights/unknown': 2,
      'weights/wrong-version': 1,
      'weights/wrong-shape': 1,
    });
    expect(await connection.xlen(weights)).toBe(1);
  });
});

describe('the newest weights', () => {
  it('are those of the highest version, also when an older one is announced once more', async () => {
    const state = await newRun();
    const epoch = await state.newEpoch();
    await state.weights.announce(announcement(0, epoch));
    await connection.hset(state.keys.run, 'version', 1);
    await state.weights.announce(announcement(1, epoch, 'b'.repeat(64)));
    await add(state.keys.weights, 'announcement', encode(announcement(0, epoch)));
    for (const found of [await state.weights.latest(), await state.weights.next('0', 0)])
      expect(found?.announcement.version).toBe(1);
  });
});

describe('Rejections', () => {
  it('adds what was counted to Redis once, and says it in one line for each place', async () => {
    const state = await newRun();
    const { rejections } = state;
    for (let i = 0; i < 100; i++) rejections.count('http', i < 30 ? '404' : 'malformed');
    rejections.count('calls', 'CONTRACT_UNAUTHORIZED');
    expect(await rejections.flush()).toEqual([
      { place: 'http', counts: { '404': 30, malformed: 70 }, message: 'malformed' },
      { place: 'calls', counts: { CONTRACT_UNAUTHORIZED: 1 }, message: 'CONTRACT_UNAUTHORIZED' },
    ]);
    expect(await rejections.flush()).toEqual([]);
    expect(await rejections.totals()).toEqual({
      'http/404': 30,
      'http/malformed': 70,
      'calls/CONTRACT_UNAUTHORIZED': 1,
    });
  });
});

describe('standing', () => {
  it('tells jobs that are due from those that are done, and from those of no group', async () => {
    const state = await newRun();
    await state.admit(1);
    const job = (index: number, minVersion = 0) =>
      ({ kind: 'rollout', schemaVersion: 1, index, minVersion, sample: { id: 's', prompt: 'p' } }) as const;
    expect(await state.standing(job(0))).toBe('due');
    expect(await state.standing(job(0, 1))).toBe('unknown');
    expect(await state.standing(job(1))).toBe('unknown');
    await state.publishGroup(0, Buffer.from('episodes'));
    expect(await state.standing(job(0))).toBe('done');
  });
});
