import type { WeightsAnnouncement } from '@forge/contracts';
import { startLossyProxy, startTestRedis, waitFor, type LossyProxy, type TestRedis } from '@forge/testing';
import { connectRedis, type Redis } from '../index';
import { RunState } from './run-state';

/*
 * The connection is lost after Redis has done a call and before its answer came: ioredis sends the call again.
 */

let server: TestRedis;
let proxy: LossyProxy;
let throughProxy: Redis;
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
  proxy = await startLossyProxy(server.url);
  throughProxy = await connectRedis(proxy.url, { name: 'test', giveUpAfterMs: 5_000 });
  // The scripts are known to Redis, so that the answer that is lost is the one of the script.
  const state = newState('known', throughProxy);
  await settled(state);
});
afterAll(async () => {
  for (const state of states) state.close();
  throughProxy.disconnect();
  await proxy.stop();
  await server.stop();
});

function newState(runId: string, redis: Redis): RunState {
  const state = new RunState(redis, runId, { inFlight: 100, groups: 100 });
  states.push(state);
  return state;
}

const settings = { maxStaleness: Infinity, candidatesPerBatch: 2, steps: 5 };
const batch = (version: number, indices: number[]) => ({
  schemaVersion: 4 as const,
  version,
  groups: indices.map((index) => ({ index, advantages: [1] })),
  statistics: {},
});
const announcement = (version: number, epoch: number): WeightsAnnouncement => ({
  schemaVersion: 1,
  version,
  epoch,
  path: '/weights',
  sizeBytes: 1,
  sha256: 'a'.repeat(64),
});

async function twice<T>(call: () => Promise<T>): Promise<T> {
  const lost = proxy.loseNextAnswer();
  const result = await call();
  await lost;
  return result;
}

/** A run with groups 0 to 3 buffered, made and filled by the calls under test. */
async function settled(state: RunState, send: <T>(call: () => Promise<T>) => Promise<T> = (call) => call()) {
  await send(() => state.create({}, settings));
  const admitted = await send(() => state.admit(4));
  const published = [];
  const stored = [];
  for (const { index } of admitted)
    published.push(await send(() => state.publishGroup(index, Buffer.from(`group ${index}`))));
  for (const { entryId, index, payload } of await state.readGroups('buffer', 10, 0))
    stored.push(await send(() => state.storeGroup(entryId, { index, version: 0 }, payload)));
  await send(() => state.formBatch(batch(0, [0]), [1]));
  await state.readBatch('trainer', 0);
  const epoch = await state.newEpoch();
  await send(() => state.commitStep(0, announcement(1, epoch)));
  await send(() => state.discard([3], 'stale'));
  return { admitted, published, stored };
}

describe('a call that is sent twice', () => {
  it('has the effect of one', async () => {
    const state = newState('twice', throughProxy);
    const { admitted, published, stored } = await settled(state, twice);
    expect(admitted.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    // Work done by the first sending is said to be done already.
    expect(published).toEqual(Array(4).fill('duplicate'));
    expect(stored).toEqual(Array(4).fill('duplicate'));
    expect(await state.ledger()).toEqual({
      admitted: 4,
      inFlight: 0,
      buffered: 1,
      leased: 0,
      trained: 1,
      discarded: { 'not-selected': 1, stale: 1 },
      isBalanced: true,
    });
    expect(await state.version()).toBe(1);
    expect(await state.nextBatch()).toBe(1);
    expect((await state.admit(100)).map(({ index }) => index)).toEqual([4, 5, 6, 7, 8, 9, 10]);
  });

  it('keeps a batch formed once, also when it is committed before the second sending', async () => {
    const state = newState('committed', await server.connect());
    await state.create({}, settings);
    for (const { index } of await state.admit(4)) await state.publishGroup(index, Buffer.from('group'));
    for (const { entryId, index, payload } of await state.readGroups('buffer', 10, 0))
      await state.storeGroup(entryId, { index, version: 0 }, payload);
    await state.formBatch(batch(0, [0]), [1]);
    await state.formBatch(batch(0, [0]), [1]);
    expect((await state.ledger()).leased).toBe(1);
    await expect(state.formBatch(batch(0, [1]), [0])).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
    await state.readBatch('trainer', 0);
    await state.commitStep(0, announcement(1, await state.newEpoch()));
    await state.formBatch(batch(0, [0]), [1]);
    expect(await state.readBatch('trainer', 0)).toBeNull();
    await state.formBatch(batch(1, [2]), [3]);
    await expect(state.formBatch(batch(0, [0]), [1])).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
  });

  it('hands out again a group whose delivery was lost', async () => {
    const state = new RunState(throughProxy, 'delivery', undefined, { claimIdleMs: 60_000 });
    states.push(state);
    await state.create({}, settings);
    await state.admit(1);
    await state.readGroups('buffer', 10, 0);
    const reading = state.readGroups('buffer', 10, 300);
    const direct = await server.connect();
    const publisher = newState('delivery', direct);
    await waitFor('a reader that waits', async () =>
      /^blocked_clients:1\b/m.test(await direct.info('clients')),
    );
    const lost = proxy.loseNextAnswer();
    await publisher.publishGroup(0, Buffer.from('group'));
    await lost;
    expect(await reading).toEqual([]);
    const group = await waitFor('the group', async () => (await state.readGroups('buffer', 10, 20)).at(0));
    expect(group).toMatchObject({ index: 0, payload: Buffer.from('group') });
  });
});
