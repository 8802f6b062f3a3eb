import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { readBacklog } from './backlog';
import { RolloutQueue } from './rollout-queue';
import { RunState } from '../run/run-state';

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());

it('says how much waits where, and for how long', async () => {
  const redis = await server.connect();
  const state = new RunState(redis, 'backlog');
  await state.create({}, { maxStaleness: 1, candidatesPerBatch: 1, steps: 5 });
  const nothing = { depth: 0, ageMs: 0 };
  expect(await readBacklog(redis, state.keys)).toEqual({ groups: nothing, batches: nothing, buffered: 0 });

  await state.admit(2);
  for (const index of [0, 1]) await state.publishGroup(index, Buffer.from('episodes'));
  const waited = await waitFor('age', async () => {
    const { groups } = await readBacklog(redis, state.keys);
    return groups.ageMs >= 20 && groups;
  });
  expect(waited.depth).toBe(2);
  const [first] = await state.readGroups('buffer', 1, 0);
  await state.storeGroup(first!.entryId, { index: 0, version: 0 }, first!.payload);
  expect(await readBacklog(redis, state.keys)).toMatchObject({ groups: { depth: 1 }, buffered: 1 });
  await state.formBatch(
    { schemaVersion: 4, version: 0, groups: [{ index: 0, advantages: [] }], statistics: {} },
    [],
  );
  expect(await readBacklog(redis, state.keys)).toMatchObject({ batches: { depth: 1 }, buffered: 0 });
  state.close();
});

it('says how long the next job has waited', async () => {
  const queue = new RolloutQueue(server.url, 'waiting');
  expect(await queue.waitingMs()).toBe(0);
  const sample = { id: 's', prompt: '1+1=', answer: '2' };
  await queue.add([{ kind: 'rollout', schemaVersion: 1, index: 0, minVersion: 0, sample }]);
  expect(await waitFor('age', async () => (await queue.waitingMs()) >= 20)).toBe(true);
  await queue.close(true);
});
