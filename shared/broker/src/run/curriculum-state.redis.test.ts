import { startTestRedis, type TestRedis } from '@forge/testing';
import type { BufferedGroup } from './group-flow';
import type { RunState } from './run-state';
import { batchOf, createRun } from './run-state.fixture';

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

async function newRun(): Promise<RunState> {
  const state = await createRun(await server.connect(), `curriculum-${count++}`, { maxStaleness: 0 });
  states.push(state);
  return state;
}

async function store(state: RunState, index: number, meta: Partial<BufferedGroup>): Promise<void> {
  await state.publishGroup(index, Buffer.from('episodes'));
  for (const { entryId, payload } of await state.readGroups('buffer', 10, 0))
    await state.storeGroup(entryId, { index, version: 0, ...meta }, payload);
}

/** Positions for the two groups of the first step. */
const first = {
  number: 1,
  positions: [
    { index: 0, position: 40 },
    { index: 1, position: 7 },
  ],
  steps: [],
  changes: { counts: '2', 'ahead:3': '', 'pool:a': 'gone soon' },
};

describe('CurriculumState', () => {
  it('keeps how groups went that were replaced, with those of their step', async () => {
    const state = await newRun();
    await state.admit(10);
    await state.curriculum.assign(first, 0);
    await store(state, 0, { informative: false, sums: { rollouts: 2, reward: 2 } });
    expect(await state.refill(1, [0], 4)).toBe(0);
    expect(await state.refill(0, [0, 1], 4)).toBe(0);
    expect(await state.refill(0, [0], 0)).toBe(0);
    expect([await state.refill(0, [0], 1), await state.refill(0, [0], 1)]).toEqual([1, 0]);
    expect([await state.refilled(), await state.curriculum.results(0)]).toEqual([1, null]);
    expect(await state.admit(10)).toEqual([{ index: 2, minVersion: 0 }]);
    const positions = [{ index: 2, position: 9 }];
    await state.curriculum.assign({ ...first, number: 2, positions, changes: {} }, 0);
    await store(state, 1, { informative: true, sums: { rollouts: 4, reward: 1 } });
    await store(state, 2, { informative: false, sums: { rollouts: 4, reward: 0 } });
    expect(await state.refill(0, [2], 1)).toBe(0);
    await state.formBatch(batchOf(0, [1]), [2]);
    expect(await state.curriculum.results(0)).toEqual([
      { position: 40, reward: 1, informative: false },
      { position: 7, reward: 0.25, informative: true },
      { position: 9, reward: 0, informative: false },
    ]);
    expect(await state.refilled()).toBe(0);
  });

  it('keeps the samples of groups, and what is known, until a group is in a batch', async () => {
    const state = await newRun();
    await state.admit(10);
    expect(await state.curriculum.assign(first, 0)).toBe(true);
    expect(await state.pendingGroups()).toEqual([
      { index: 0, minVersion: 0, position: 40 },
      { index: 1, minVersion: 0, position: 7 },
    ]);
    expect([await state.curriculum.positionOf(1), await state.curriculum.positionOf(5)]).toEqual([7, 5]);
    const { changes } = first;
    expect(await state.curriculum.read()).toEqual({ assignments: 1, fields: changes });

    expect(await state.curriculum.results(0)).toBeNull();
    await store(state, 0, { informative: true, sums: { rollouts: 3, reward: 1 } });
    await store(state, 1, { informative: false, sums: { rollouts: 4, reward: 4 } });
    await state.formBatch(batchOf(0, [0]), [1]);
    expect(await state.curriculum.results(0)).toEqual([
      { position: 40, reward: 1 / 3, informative: true },
      { position: 7, reward: 1, informative: false },
    ]);
    const next = { number: 2, positions: [], steps: [0], changes: { counts: '3', 'pool:a': null } };
    expect(await state.curriculum.assign(next, 0)).toBe(true);
    expect(await state.curriculum.results(0)).toBeNull();
    expect((await state.curriculum.read()).fields).toEqual({ counts: '3', 'ahead:3': '' });
  });

  it('keeps no results where there is no curriculum', async () => {
    const state = await newRun();
    await state.admit(10);
    for (const index of [0, 1]) await store(state, index, {});
    await state.formBatch(batchOf(0, [0, 1]), []);
    expect(await state.curriculum.results(0)).toBeNull();
  });

  it('notes an assignment once, and none whose predecessor is gone', async () => {
    const state = await newRun();
    await state.admit(10);
    await state.curriculum.assign(first, 0);
    // The answer of the first call was lost.
    expect(await state.curriculum.assign(first, 0)).toBe(true);
    const later = { number: 3, positions: [{ index: 0, position: 1 }], steps: [], changes: { counts: '9' } };
    expect(await state.curriculum.assign(later, 0)).toBe(false);
    expect(await state.curriculum.positionOf(0)).toBe(40);
    expect(await state.curriculum.read()).toMatchObject({ assignments: 1, fields: { counts: '2' } });
  });

  it('takes nothing from a coordinator that was replaced', async () => {
    const state = await newRun();
    await state.newCoordinator();
    await expect(state.curriculum.assign(first, 0)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
    expect(await state.curriculum.read()).toEqual({ assignments: 0, fields: {} });
  });

  it('starts where the state of a run begins', async () => {
    const state = await newRun();
    expect(await state.curriculum.start()).toEqual({ index: 0, step: 0 });
    const at = { version: 3, epoch: 1, nextIndex: 7, trained: 5 };
    await state.resumption.restore({}, { maxStaleness: 0, candidatesPerBatch: 2, steps: 5 }, at);
    expect(await state.curriculum.start()).toEqual({ index: 7, step: 3 });
  });
});
