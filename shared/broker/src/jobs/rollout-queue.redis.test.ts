import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { RolloutJob } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import type { Redis } from '../index';
import {
  RolloutQueue,
  type JobFailure,
  type QueueLimits,
  type QueueTiming,
  type WorkOptions,
} from './rollout-queue';
import { RunState } from '../run/run-state';

const TIMING = { lockMs: 1_000, stalledMs: 500 };

let server: TestRedis;
let redis: Redis;
const queues: RolloutQueue[] = [];
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.close(true)));
  for (const state of states.splice(0)) state.close();
});
afterAll(() => server.stop());

function newQueue(
  runId: string,
  { timing = TIMING, limits }: { timing?: QueueTiming; limits?: QueueLimits } = {},
): RolloutQueue {
  const queue = new RolloutQueue(server.url, runId, timing, limits);
  queues.push(queue);
  return queue;
}

async function newRun(runId: string, groups: number): Promise<RunState> {
  const state = new RunState(redis, runId);
  states.push(state);
  await state.create({}, { maxStaleness: Infinity, candidatesPerBatch: groups, steps: 10 });
  await state.admit(groups);
  return state;
}

const rollout = (index: number): RolloutJob => ({
  kind: 'rollout',
  schemaVersion: 1,
  index,
  minVersion: 0,
  sample: { id: `s${index}`, prompt: '1+1=', answer: '2' },
});

const indexOf = (job: RolloutJob) => (job.kind === 'rollout' ? job.index : -1);

/** Works with a handler, and keeps what failed for good. */
function work(queue: RolloutQueue, handler: WorkOptions['handler'], concurrency = 4, name = 'worker') {
  const failed: [number, string][] = [];
  const errors: Error[] = [];
  queue.work({
    name,
    concurrency,
    handler,
    onFailed: ({ index, message }) => Promise.resolve(void failed.push([index ?? -1, message])),
    onError: (error) => errors.push(error),
  });
  return { failed, errors };
}

describe('add', () => {
  it('adds a job once, however often it is asked to, also when it is done', async () => {
    const queue = newQueue('once');
    const done: number[] = [];
    await queue.add([rollout(0), rollout(1)]);
    await queue.add([rollout(1), rollout(2)]);
    work(queue, (job) => Promise.resolve(void done.push(indexOf(job))));
    await waitFor('3 jobs', async () => (await queue.counts()).completed === 3);
    await queue.add([rollout(0), rollout(3)]);
    await waitFor('4 jobs', async () => (await queue.counts()).completed === 4);
    expect(done.sort()).toEqual([0, 1, 2, 3]);
  });

  it('runs a job again that failed for good and was told to nobody', async () => {
    const state = await newRun('failed', 1);
    const first = newQueue('failed');
    await first.add([rollout(0)]);
    // The worker dies where it would say so: its onFailed never returns and BullMQ drops the job nevertheless.
    first.work({
      name: 'worker',
      concurrency: 1,
      handler: () => Promise.reject(new ForgeError('CONFIG_INVALID', 'no such reward')),
      onFailed: () => Promise.reject(new Error('killed')),
      onError: () => undefined,
    });
    await waitFor('the end of the job', async () => {
      const counts = await first.counts();
      return Object.values(counts).every((count) => count === 0);
    });
    expect(await state.pendingGroups()).toEqual([{ index: 0, minVersion: 0 }]);
    await first.close();

    const second = newQueue('failed');
    await second.add((await state.pendingGroups()).map(({ index }) => rollout(index)));
    work(second, async (job) => void (await state.publishGroup(indexOf(job), Buffer.from('group'))));
    await waitFor('the group', async () => (await state.readGroups('buffer', 1, 0)).length === 1);
    expect(await state.pendingGroups()).toEqual([]);
  });

  it('waits for a Redis that is away and loses no job', async () => {
    const queue = newQueue('away');
    const done = new Set<number>();
    work(queue, (job) => Promise.resolve(void done.add(indexOf(job))), 16);
    const added = Promise.all(
      Array.from({ length: 40 }, (_, k) =>
        queue.add(Array.from({ length: 10 }, (_, i) => rollout(10 * k + i))),
      ),
    );
    await server.kill();
    await added;
    await queue.add([rollout(400)]);
    await waitFor('all jobs', () => done.size === 401, 20_000);
  });
});

describe('a handler that throws', () => {
  it('a fatal error fails the job for good at once', async () => {
    const queue = newQueue('fatal');
    let runs = 0;
    const { failed } = work(queue, () => {
      runs++;
      return Promise.reject(new ForgeError('CONFIG_INVALID', 'no such reward'));
    });
    await queue.add([rollout(0)]);
    await waitFor('failure', () => failed.length > 0);
    expect(failed).toEqual([[0, 'no such reward']]);
    expect(runs).toBe(1);
  });

  it('or makes no sense of a job, tells which group it was for, and what it was', async () => {
    const queue = newQueue('nonsense');
    const failures: unknown[] = [];
    queue.work({
      name: 'worker',
      concurrency: 1,
      handler: () => Promise.resolve(),
      onFailed: (failure) => Promise.resolve(void failures.push(failure)),
      onError: () => undefined,
    });
    await queue.add([{ ...rollout(7), schemaVersion: 9 } as never]);
    await waitFor('failure', () => failures.length > 0);
    expect(failures).toEqual([
      {
        jobId: 'r-nonsense-7',
        queuedAtMs: expect.any(Number),
        reason: 'wrong-version',
        index: 7,
        job: null,
        code: 'CONTRACT_INVALID_MESSAGE',
        message: expect.stringContaining('schemaVersion') as string,
        attempts: 1,
        payload: JSON.stringify({ ...rollout(7), schemaVersion: 9 }),
      },
    ]);
  });

  it('is tried as often as the recipe says', async () => {
    const queue = newQueue('attempts', { limits: { attempts: 5, keptCompleted: 10 } });
    let runs = 0;
    const { failed } = work(queue, () => {
      runs++;
      return Promise.reject(new Error('the reward throws'));
    });
    await queue.add([rollout(0)]);
    await waitFor('failure', () => failed.length > 0, 20_000);
    expect([runs, failed]).toEqual([5, [[0, 'the reward throws']]]);
  });

  it('a transient error is retried, and the job fails for good after three attempts', async () => {
    const queue = newQueue('transient');
    const runs = [0, 0];
    const { failed } = work(queue, (job) => {
      const index = indexOf(job);
      const isMended = index === 0 && runs[index]! > 0;
      runs[index]!++;
      return isMended ? Promise.resolve() : Promise.reject(new ForgeError('TRANSIENT_TIMEOUT', 'too slow'));
    });
    await queue.add([rollout(0), rollout(1)]);
    await waitFor('failure', () => failed.length > 0);
    expect(failed).toEqual([[1, 'too slow']]);
    expect(runs).toEqual([2, 3]);
  });

  it('CANCELLED keeps the job, however often, and another worker does it', async () => {
    const queue = newQueue('cancelled');
    let cancelled = 0;
    const { failed, errors } = work(queue, () => {
      cancelled++;
      return Promise.reject(new ForgeError('CANCELLED', 'draining'));
    });
    await queue.add([rollout(0)]);
    await waitFor('4 attempts', () => cancelled >= 4);
    await queue.close();
    const other = newQueue('cancelled');
    const done: number[] = [];
    work(other, (job) => Promise.resolve(void done.push(indexOf(job))));
    await waitFor('completion', async () => (await other.counts()).completed === 1);
    expect(done).toEqual([0]);
    expect(failed).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('a worker that leaves has what it gives up wait, not be delayed', async () => {
    const queue = newQueue('leaving');
    const leaves = new AbortController();
    let isUnderWay = false;
    const { failed, errors } = work(queue, async () => {
      isUnderWay = true;
      await once(leaves.signal, 'abort');
      throw new ForgeError('CANCELLED', 'draining');
    });
    await queue.add([rollout(0)]);
    await waitFor('the job', () => isUnderWay);
    const closed = queue.close();
    leaves.abort();
    await closed;
    expect(await newQueue('leaving').counts()).toMatchObject({ waiting: 1, delayed: 0, active: 0 });
    expect([failed, errors]).toEqual([[], []]);
  });
});

describe('a worker process', () => {
  /** A process that publishes the group of its job when `publishes`, says so, and never ends the job. */
  function startVictim(runId: string, publishes: boolean, timing = TIMING) {
    const script = `
      const { connectRedis, openRolloutQueue, RunState } = require(${JSON.stringify(join(__dirname, '../../dist'))});
      const url = ${JSON.stringify(server.url)};
      connectRedis(url, { name: 'victim', giveUpAfterMs: 5000 }).then(async (redis) => {
        const state = new RunState(redis, '${runId}');
        (await openRolloutQueue(url, '${runId}', ${JSON.stringify(timing)})).work({
          name: 'victim',
          concurrency: 1,
          handler: async (job) => {
            if (${publishes}) await state.publishGroup(job.index, Buffer.from('of the victim'));
            process.stdout.write('at work');
            await new Promise(() => setInterval(() => {}, 1000));
          },
          onFailed: async () => {}, onError: () => {},
        });
      });`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const atWork = new Promise((resolve) => child.stdout.once('data', resolve));
    return { child, atWork };
  }

  it.each([
    ['before it has published', false, 'of the survivor'],
    ['after it has published', true, 'of the victim'],
  ])(
    'that is killed %s leaves a job that is run once more, to the effect of one',
    async (_, publishes, by) => {
      const runId = `killed-${publishes}`;
      const state = await newRun(runId, 1);
      const queue = newQueue(runId);
      await queue.add([rollout(0)]);
      const { child, atWork } = startVictim(runId, publishes);
      await atWork;
      const answers: string[] = [];
      const { failed } = work(queue, async (job) => {
        answers.push(await state.publishGroup(indexOf(job), Buffer.from('of the survivor')));
      });
      child.kill('SIGKILL');
      await waitFor('completion', async () => (await queue.counts()).completed === 1);
      expect(answers).toEqual([publishes ? 'duplicate' : 'accepted']);
      expect(failed).toEqual([]);
      const groups = await state.readGroups('buffer', 10, 0);
      expect(groups.map(({ payload }) => payload.toString())).toEqual([by]);
      expect(await state.ledger()).toMatchObject({ admitted: 1, inFlight: 1, isBalanced: true });
    },
  );

  /** Locks that outlast every test. */
  const LASTING = { lockMs: 600_000, stalledMs: 500 };

  it('that is killed leaves its jobs to its successor of the same name at once, and to nobody else', async () => {
    const queue = newQueue('succeeded', { timing: LASTING });
    await queue.add([rollout(0)]);
    const { child, atWork } = startVictim('succeeded', false, LASTING);
    await atWork;
    child.kill('SIGKILL');
    const done: string[] = [];
    const worker = (name: string): void =>
      void work(
        newQueue('succeeded', { timing: LASTING }),
        () => Promise.resolve(void done.push(name)),
        1,
        name,
      );
    worker('other');
    await queue.add([rollout(1)]);
    await waitFor('the other job', async () => (await queue.counts()).completed === 1);
    expect(await queue.counts()).toMatchObject({ active: 1 });
    expect(done).toEqual(['other']);
    worker('victim');
    await waitFor('both jobs', async () => (await queue.counts()).completed === 2);
    expect(done).toHaveLength(2);
    expect(await redis.hget('forge:{succeeded}:rollout:r-succeeded-0', 'stc')).toBe('1');
  });

  it('does a job that is done again when it is added again, and leaves alone one that is under way', async () => {
    const queue = newQueue('again');
    let finish: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (finish = resolve));
    const started: number[] = [];
    work(queue, (job) => {
      started.push(indexOf(job));
      return indexOf(job) === 1 ? released : Promise.resolve();
    });
    await queue.add([rollout(0), rollout(1)]);
    await waitFor('the first', async () => (await queue.counts()).completed === 1);
    await queue.addAgain([rollout(0), rollout(1), rollout(2)]);
    await waitFor('all but one', () => started.length === 4);
    finish();
    await waitFor('all', async () => (await queue.counts()).completed === 3);
    expect(started.sort()).toEqual([0, 0, 1, 2]);
  });

  it('puts back what was handed to it when Redis died, and goes on with what it is doing', async () => {
    const queue = newQueue('handed', { timing: LASTING });
    let finish: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (finish = resolve));
    const done: number[] = [];
    await queue.add([rollout(0)]);
    work(
      queue,
      (job) => (indexOf(job) === 0 ? released : Promise.resolve()).then(() => void done.push(indexOf(job))),
      1,
    );
    await waitFor('the job', async () => (await queue.counts()).active === 1);
    await queue.add([rollout(1)]);
    // As if its answer had been lost: active under its name, though it was never told.
    const prefix = 'forge:{handed}:rollout';
    await redis.lrem(`${prefix}:wait`, 1, 'r-handed-1');
    await redis.lpush(`${prefix}:active`, 'r-handed-1');
    await redis.set(`${prefix}:r-handed-1:lock`, 'lost');
    await redis.hset(`${prefix}:r-handed-1`, { pb: 'worker', processedOn: Date.now() });
    await server.kill();
    await waitFor('the job put back', async () => (await queue.counts()).waiting === 1);
    expect(await queue.counts()).toMatchObject({ active: 1 });
    finish();
    await waitFor('both jobs', async () => (await queue.counts()).completed === 2);
    expect(done).toEqual([0, 1]);
  });

  it('is not given a job that has killed too many, which fails for good', async () => {
    const queue = newQueue('poison');
    await queue.add([rollout(0)]);
    const { child, atWork } = startVictim('poison', false);
    await atWork;
    // As after eight such deaths.
    await redis.hset('forge:{poison}:rollout:r-poison-0', 'stc', 8);
    let runs = 0;
    const failures: JobFailure[] = [];
    queue.work({
      ...{ name: 'worker', concurrency: 4, onError: () => undefined },
      handler: () => Promise.resolve(void runs++),
      onFailed: (failure) => Promise.resolve(void failures.push(failure)),
    });
    child.kill('SIGKILL');
    await waitFor('failure', () => failures.length > 0);
    const message =
      '9 policies died while they had this job: it, or another one that they had at the time, seems to kill them';
    expect(failures).toMatchObject([{ index: 0, code: 'TRANSIENT_REPLICA_LOST', message, attempts: 9 }]);
    expect(runs).toBe(0);
    await queue.add([rollout(0)]);
    await waitFor('completion', async () => (await queue.counts()).completed === 1);
    expect(runs).toBe(1);
  });
});
