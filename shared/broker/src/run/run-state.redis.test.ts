import type { TelemetryEvent } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { RunBounds, RunSettings } from './run-bounds';
import { RunState } from './run-state';
import { announcement, batchOf, createRun } from './run-state.fixture';

let server: TestRedis;
let count = 0;
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

async function newRun(settings?: Partial<RunSettings>, bounds?: Partial<RunBounds>): Promise<RunState> {
  const state = await createRun(await server.connect(), `run-${count++}`, settings, bounds);
  states.push(state);
  return state;
}

/** Publishes a group and moves it into the buffer. */
async function store(state: RunState, index: number, version: number): Promise<void> {
  expect(await state.publishGroup(index, Buffer.from(`episodes of ${index}`))).toBe('accepted');
  for (const group of await state.readGroups('buffer', 10, 0)) {
    await state.storeGroup(group.entryId, { index: group.index, version }, group.payload);
  }
}

describe('admission', () => {
  it('admits what maxStaleness allows, with the oldest version each may have', async () => {
    const state = await newRun({ maxStaleness: 1, candidatesPerBatch: 2 });
    expect(await state.admit(10)).toEqual([
      { index: 0, minVersion: 0 },
      { index: 1, minVersion: 0 },
      { index: 2, minVersion: 0 },
      { index: 3, minVersion: 0 },
    ]);
    expect(await state.admit(10)).toEqual([]);
    await store(state, 0, 0);
    await store(state, 1, 0);
    await state.formBatch(batchOf(0, [0, 1]), []);
    await state.readBatch('trainer', 0);
    const epoch = await state.newEpoch();
    await state.commitStep(0, announcement(1, epoch));
    expect(await state.admit(10)).toEqual([
      { index: 4, minVersion: 1 },
      { index: 5, minVersion: 1 },
    ]);
  });

  it('never admits more than the steps need, even without a staleness bound', async () => {
    const state = await newRun({ maxStaleness: Infinity, steps: 3 });
    expect(await state.admit(100)).toHaveLength(6);
  });

  it('stops at the cap on groups in flight', async () => {
    const state = await newRun({ maxStaleness: Infinity }, { inFlight: 3, groups: 100 });
    expect(await state.admit(100)).toHaveLength(3);
  });

  it('waits for the trainer once as many groups are held as may be, however stale they may get', async () => {
    const state = await newRun({ maxStaleness: Infinity }, { inFlight: 100, held: 3 });
    expect(await state.admit(100)).toHaveLength(3);
    for (const index of [0, 1, 2]) await store(state, index, 0);
    expect(await state.admit(100)).toEqual([]);
    await state.formBatch(batchOf(0, [0]), [1]);
    expect((await state.admit(100)).map(({ index }) => index)).toEqual([3]);
    await state.readBatch('trainer', 0);
    await state.commitStep(0, announcement(1, await state.newEpoch()));
    expect((await state.admit(100)).map(({ index }) => index)).toEqual([4]);
  });

  it('gives back the admission of a stale group, and not that of one a batch did not select', async () => {
    const state = await newRun({ maxStaleness: 0, candidatesPerBatch: 2 });
    await state.admit(10);
    await store(state, 0, 0);
    await store(state, 1, 0);
    expect(await state.discard([0], 'stale')).toBe(1);
    expect((await state.admit(10)).map(({ index }) => index)).toEqual([2]);
    await store(state, 2, 0);
    await state.formBatch(batchOf(0, [2]), [1]);
    expect(await state.admit(10)).toEqual([]);
    expect(await state.ledger()).toMatchObject({
      admitted: 3,
      leased: 1,
      discarded: { stale: 1, 'not-selected': 1 },
      isBalanced: true,
    });
  });

  it('admits nothing once the run is stopping', async () => {
    const state = await newRun();
    await state.setPhase('stopping', 'enough');
    expect(await state.admit(10)).toEqual([]);
    expect(await state.phase()).toEqual({ phase: 'stopping', message: 'enough' });
  });

  it('is gone, not failed, once its keys have expired', async () => {
    const state = await newRun();
    await state.remove();
    const gone = {
      code: 'CONFLICT_STATE',
      message: expect.stringMatching(
        /^no run \S+ in this Redis: .*expired \(limits\.keepStateHours\)/,
      ) as string,
    };
    await expect(state.phase()).rejects.toMatchObject(gone);
    await expect(state.config()).rejects.toMatchObject(gone);
  });
});

describe('groups', () => {
  it('are published once', async () => {
    const state = await newRun();
    await state.admit(1);
    expect(await state.publishGroup(0, Buffer.from('a'))).toBe('accepted');
    expect(await state.publishGroup(0, Buffer.from('b'))).toBe('duplicate');
    expect(await state.publishGroup(99, Buffer.from('never admitted'))).toBe('duplicate');
    expect((await state.readGroups('buffer', 10, 0)).map(({ payload }) => payload.toString())).toEqual(['a']);
  });

  it('are told of when they are accepted, and only then', async () => {
    const state = await newRun({ maxStaleness: 4 }, { inFlight: 10, groups: 1 });
    await state.admit(2);
    const waiting: TelemetryEvent = { kind: 'waiting', for: 'a test' };
    const publish = (index: number) => state.publishGroup(index, Buffer.from('a'), undefined, waiting);
    expect([await publish(0), await publish(0), await publish(1)]).toEqual(['accepted', 'duplicate', 'full']);
    expect((await state.readTelemetry('0', 0)).map(({ event }) => event)).toEqual([waiting]);
  });

  it('wait when the stream is full', async () => {
    const state = await newRun({ maxStaleness: 4 }, { inFlight: 10, groups: 1 });
    await state.admit(2);
    await state.publishGroup(0, Buffer.from('a'));
    expect(await state.publishGroup(1, Buffer.from('b'))).toBe('full');
    expect(await state.pendingGroups()).toEqual([{ index: 1, minVersion: 0 }]);
  });

  it('carry any bytes unchanged', async () => {
    const state = await newRun();
    await state.admit(1);
    const payload = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i));
    await state.publishGroup(0, payload);
    expect((await state.readGroups('buffer', 1, 0))[0]!.payload.equals(payload)).toBe(true);
  });

  it('are stored once, however often the entry is delivered', async () => {
    const state = await newRun();
    await state.admit(1);
    await state.publishGroup(0, Buffer.from('a'));
    const [group] = await state.readGroups('buffer', 1, 0);
    const store = () =>
      state.storeGroup(group!.entryId, { index: 0, version: 0, reward: 0.5 }, group!.payload);
    expect(await store()).toBe('stored');
    expect(await store()).toBe('duplicate');
    expect(await state.bufferedGroups()).toEqual([{ index: 0, version: 0, reward: 0.5 }]);
    expect((await state.ledger()).buffered).toBe(1);
  });

  it('go to the dead letter when they can not be understood, and return their admission', async () => {
    const state = await newRun({ maxStaleness: 0, candidatesPerBatch: 1 });
    await state.admit(1);
    await state.publishGroup(0, Buffer.from('nonsense'));
    const [group] = await state.readGroups('buffer', 1, 0);
    const failure = { code: 'CONTRACT_INVALID_MESSAGE', message: 'no', attempts: 1, payload: group!.payload };
    expect(await state.rejectGroup(group!, 'rejected', failure)).toBe(true);
    expect(await state.rejectGroup(group!, 'rejected', failure)).toBe(false);
    expect((await state.admit(1)).map(({ index }) => index)).toEqual([1]);
    expect(await state.ledger()).toMatchObject({ discarded: { rejected: 1 }, isBalanced: true });
  });
});

describe('batches', () => {
  async function readyRun() {
    const state = await newRun({ maxStaleness: 1 });
    await state.admit(10);
    for (const index of [0, 1, 2, 3]) await store(state, index, 0);
    return state;
  }

  it('refuse a group that is too old for the step', async () => {
    const state = await readyRun();
    const epoch = await state.newEpoch();
    await state.formBatch(batchOf(0, [0]), [1]);
    await state.readBatch('trainer', 0);
    await state.commitStep(0, announcement(1, epoch));
    for (const { index } of await state.admit(10)) await store(state, index, 1);
    await state.formBatch(batchOf(1, [4]), [5]);
    await state.readBatch('trainer', 0);
    await state.commitStep(1, announcement(2, epoch));
    await expect(state.formBatch(batchOf(2, [2]), [3])).rejects.toMatchObject({ code: 'STALE_EPISODE' });
  });

  it('are formed in order and from buffered groups only', async () => {
    const state = await readyRun();
    await expect(state.formBatch(batchOf(1, [0, 1]), [])).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
    await expect(state.formBatch(batchOf(0, [77]), [0])).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
    await state.formBatch(batchOf(0, [0, 1]), []);
    await expect(state.formBatch(batchOf(1, [1]), [2])).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
  });

  it('consume exactly as many groups as the admission counts on', async () => {
    const state = await readyRun();
    const before = await state.ledger();
    for (const [chosen, others] of [
      [[0], []],
      [[0, 1], [2]],
      [[0], [1, 2]],
      [[0, 0], []],
      [[0], [0]],
    ] as const)
      await expect(state.formBatch(batchOf(0, [...chosen]), others)).rejects.toMatchObject({
        code: 'CONFLICT_STATE',
        details: { version: 0, groups: chosen.length, others: others.length },
      });
    expect(await state.ledger()).toEqual(before);
    expect(await state.nextBatch()).toBe(0);
  });

  it('come again to a trainer that died with one, with the same episodes', async () => {
    const state = await readyRun();
    await state.formBatch(batchOf(0, [1, 0]), []);
    const first = await state.readBatch('trainer', 0);
    const again = await state.readBatch('trainer', 0);
    expect(again).toEqual(first);
    expect(first!.payloads.map(String)).toEqual(['episodes of 1', 'episodes of 0']);
  });

  it('are committed once, by the newest trainer only', async () => {
    const state = await readyRun();
    await state.formBatch(batchOf(0, [0, 1]), []);
    await state.readBatch('trainer', 0);
    const old = await state.newEpoch();
    const epoch = await state.newEpoch();
    await expect(state.commitStep(0, announcement(1, old))).rejects.toMatchObject({ code: 'STALE_EPOCH' });
    for (let i = 0; i < 2; i++) await state.commitStep(0, announcement(1, epoch), undefined, { loss: 0.5 });
    expect(await state.version()).toBe(1);
    const told = await state.readTelemetry('0', 0);
    expect(told.map(({ event }) => event)).toEqual([{ kind: 'step', step: 1, values: { loss: 0.5 } }]);
    expect(await state.ledger()).toMatchObject({ trained: 2, buffered: 2, isBalanced: true });
    expect((await state.weights.latest())?.announcement.version).toBe(1);
    expect(await state.readBatch('trainer', 0)).toBeNull();
  });
});

describe('telemetry', () => {
  it('is read in order from where the reader stopped', async () => {
    const state = await newRun();
    await state.emit({ kind: 'waiting', for: null });
    const [first] = await state.readTelemetry('0', 0);
    await state.emit({ kind: 'run', state: 'saved' });
    expect(first!.event).toEqual({ kind: 'waiting', for: null });
    expect((await state.readTelemetry(first!.id, 0)).map(({ event }) => event?.kind)).toEqual(['run']);
  });
});

describe('the progress of a step', () => {
  it('is what was said last, and of no step but the one under way', async () => {
    const state = await newRun();
    expect(await state.progress()).toBeNull();
    const progress = {
      ...{ step: 1, stage: 'rollouts' as const, groups: { done: 1, of: 2 }, tokens: { done: 3, atMost: 9 } },
      ...{ microBatches: null, elapsedMs: 1_000, expectedMs: null },
    };
    await state.setProgress(progress);
    expect(await state.progress()).toEqual(progress);
    const [told] = await state.readTelemetry('0', 0);
    expect(told!.event).toEqual({ kind: 'progress', progress });
    await state.setProgress({ ...progress, step: 2 });
    expect(await state.progress()).toBeNull();
  });
});

describe('a run', () => {
  it('refuses to be created twice', async () => {
    const state = await newRun();
    await expect(
      state.create({}, { maxStaleness: 0, candidatesPerBatch: 1, steps: 1 }),
    ).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
  });

  it('is whole as soon as any of it is there, and takes over nothing of one that was removed in part', async () => {
    const state = new RunState(await server.connect(), 'removed-in-part');
    states.push(state);
    const settings = { maxStaleness: 0, candidatesPerBatch: 1, steps: 1 };
    await state.create({}, settings);
    await state.admit(1);
    await state.publishGroup(0, Buffer.from('a'));
    const redis = await server.connect();
    await redis.del(state.keys.config);
    await Promise.allSettled([state.create({ of: 1 }, settings), state.create({ of: 2 }, settings)]).then(
      (results) => expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']),
    );
    expect(await state.config()).toEqual({ of: 1 });
    expect(await state.ledger()).toMatchObject({ admitted: 0, isBalanced: true });
    expect(await state.readGroups('buffer', 10, 0)).toEqual([]);
    expect((await redis.keys(state.keys.all)).sort()).toEqual(
      [state.keys.batches, state.keys.config, state.keys.groups, state.keys.run, state.keys.scripts].sort(),
    );
  });

  it('leaves nothing behind when it is removed', async () => {
    const state = await newRun();
    await state.admit(3);
    await state.remove();
    const redis = await server.connect();
    expect(await redis.keys(state.keys.all)).toEqual([]);
  });
});
