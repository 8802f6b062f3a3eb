import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from '../index';
import { announcement, createRun } from './run-state.fixture';
import { FOREIGN_SCRIPTS } from './foreign-scripts';
import type { RunState } from './run-state';

let server: TestRedis;
let redis: Redis;
const states: RunState[] = [];
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

async function newRun(id: string): Promise<RunState> {
  const state = await createRun(redis, id);
  states.push(state);
  return state;
}

/** Sources a part in another language finds. */
const found = (state: RunState) => redis.hgetall(state.keys.scripts);

describe('scripts for parts in other languages', () => {
  it('are there from the first moment of a run', async () => {
    expect(await found(await newRun('new'))).toEqual(FOREIGN_SCRIPTS);
  });

  it('are those of the release of the newest coordinator', async () => {
    const state = await newRun('upgraded');
    await redis.hset(state.keys.scripts, 'commitStep', 'return 1');
    await state.newCoordinator();
    expect(await found(state)).toEqual(FOREIGN_SCRIPTS);
  });

  it('are there when the state is made anew from a checkpoint', async () => {
    const state = await newRun('restored');
    const settings = { maxStaleness: 1, candidatesPerBatch: 2, steps: 5 };
    await state.resumption.restore({}, settings, { version: 2, epoch: 3, nextIndex: 5, trained: 4 });
    expect(await found(state)).toEqual(FOREIGN_SCRIPTS);
    expect(await state.version()).toBe(2);
    expect(await state.ledger()).toMatchObject({ trained: 4, isBalanced: true });
  });

  it('do what ours do, called by their source alone', async () => {
    const state = await newRun('called');
    const epoch = await state.newEpoch();
    const { run, weights, signals, versions } = state.keys;
    const { announceWeights } = await found(state);
    const call = (by: number) =>
      redis.eval(announceWeights!, 4, run, weights, signals, versions, by, 0, 'message', 'a'.repeat(64));
    expect(await call(epoch - 1)).toBe('stale');
    expect(await call(epoch)).toBe('announced');
    expect(await state.weights.hashOf(0)).toBe(announcement(0, epoch).sha256);
  });

  it('go with the run', async () => {
    const [expiring, removed] = [await newRun('expiring'), await newRun('removed')];
    await expiring.expire(3_600_000);
    expect(await redis.pttl(expiring.keys.scripts)).toBeGreaterThan(3_500_000);
    await removed.remove();
    expect(await found(removed)).toEqual({});
  });
});
