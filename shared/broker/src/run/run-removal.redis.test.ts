import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import type { Redis } from '../index';
import { Registry } from './registry';
import { RolloutQueue } from '../jobs/rollout-queue';
import { expireRun, removeOrphans, removeRun } from './run-removal';
import { RunState } from './run-state';

let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
const queues: RolloutQueue[] = [];
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.close(true)));
  await redis.flushall();
});
afterAll(() => server.stop());

/** A run with groups, a job and a replica. */
async function newRun(runId: string): Promise<RunState> {
  const state = new RunState(redis, runId);
  await state.create({}, { maxStaleness: 0, candidatesPerBatch: 2, steps: 2 });
  await state.admit(2);
  const queue = new RolloutQueue(server.url, runId);
  const sample = { id: 's', prompt: '1+1=' };
  await queue.add([{ kind: 'rollout', schemaVersion: 1, index: 0, minVersion: 0, sample }]);
  await queue.close();
  const replica = {
    service: 'policy',
    replica: '0',
    url: 'http://x',
    pid: 1,
    isReady: true,
    answers: null,
    callsMade: [],
  };
  await new Registry(redis, runId).heartbeat(replica);
  state.close();
  return state;
}

const keysOf = (state: RunState) => redis.keys(state.keys.all);

describe('the state of a run', () => {
  it('is removed with its jobs, and that of others stays', async () => {
    const [one, other] = [await newRun('one'), await newRun('one-more')];
    const before = await keysOf(other);
    expect(await keysOf(one)).toContain('forge:{one}:rollout:r-one-0');
    await removeRun(redis, 'one');
    expect(await keysOf(one)).toEqual([]);
    expect((await keysOf(other)).sort()).toEqual(before.sort());
  });

  it('expires by itself with its jobs, unless the time starts anew', async () => {
    const [over, running] = [await newRun('over'), await newRun('running')];
    const before = await keysOf(running);
    for (const id of ['over', 'running']) await expireRun(redis, id, 100);
    await expireRun(redis, 'running', 3_600_000);
    await waitFor('the end of the state', async () => (await keysOf(over)).length === 0);
    expect((await keysOf(running)).sort()).toEqual(before.sort());
    for (const key of before) expect(await redis.pttl(key)).toBeGreaterThan(3_500_000);
  });

  it("does not lengthen the locks of workers, so that a dead one's jobs come back", async () => {
    await newRun('locked');
    const newQueue = () => {
      const queue = new RolloutQueue(server.url, 'locked', { lockMs: 400, stalledMs: 100 });
      queues.push(queue);
      return queue;
    };
    const quiet = {
      name: 'worker',
      concurrency: 1,
      onFailed: () => Promise.resolve(),
      onError: () => undefined,
    };
    let taken = 0;
    const dead = newQueue();
    dead.work({ ...quiet, name: 'dead', handler: () => (taken++, new Promise(() => undefined)) });
    await waitFor('the job to be taken', () => taken === 1);
    await dead.close(true);
    await expireRun(redis, 'locked', 3_600_000);
    newQueue().work({ ...quiet, handler: () => Promise.resolve(void taken++) });
    await waitFor('the job to come back', () => taken === 2, 5_000);
  });

  it('leaves nothing behind that a late service made', async () => {
    const gone = await newRun('gone');
    const running = await newRun('running');
    const before = await keysOf(running);
    await removeRun(redis, 'gone');
    await gone.setPhase('finished');
    await redis.del(gone.keys.run);
    await redis.set('forge:mailbox:{host}:owner', 'someone');
    expect(await removeOrphans(redis)).toEqual(['gone']);
    expect(await keysOf(gone)).toEqual([]);
    expect((await keysOf(running)).sort()).toEqual(before.sort());
    expect(await redis.get('forge:mailbox:{host}:owner')).toBe('someone');
  });
});
