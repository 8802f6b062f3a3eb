import { nested, startTestRedis, waitFor } from '@forge/testing';
import { runKeys } from '../keys';
import { RolloutQueue, type JobFailure } from './rollout-queue';

jest.setTimeout(30_000);

const JOB = { kind: 'rollout', schemaVersion: 1, index: 1, minVersion: 0, sample: { id: 's', prompt: 'p' } };
const FIELDS = {
  name: 'rollout',
  data: JSON.stringify(JOB),
  opts: '{}',
  timestamp: '1',
  delay: '0',
  priority: '0',
};

/** Stored jobs that are damaged, each otherwise, and what is said about them. */
const DAMAGED: Readonly<Record<string, [Record<string, string>, string]>> = {
  'data-1': [{ ...FIELDS, data: '{broken' }, 'field data is damaged'],
  'opts-1': [{ ...FIELDS, opts: 'null' }, 'field opts is damaged'],
  'opts-2': [{ ...FIELDS, opts: '[' }, 'field opts is damaged'],
  'count-1': [{ ...FIELDS, stc: 'x', ats: 'y' }, 'field ats is damaged'],
  'progress-1': [{ ...FIELDS, progress: '{' }, 'field progress is damaged'],
  'schedule-1': [{ ...FIELDS, rjk: 'z' }, 'field rjk is damaged'],
  'missing-1': [{}, 'kind: Invalid discriminator'],
  'deep-1': [{ ...FIELDS, data: JSON.stringify(nested(1_000)) }, 'kind: Invalid discriminator'],
  'r-damaged-7': [{ ...FIELDS, data: '"' }, 'field data is damaged'],
};

describe('a queue with jobs that can not be read', () => {
  it('gives each up once, with a reason, and does the others', async () => {
    const server = await startTestRedis();
    const redis = await server.connect();
    const queue = new RolloutQueue(server.url, 'damaged', { lockMs: 1_000, stalledMs: 300 });
    const prefix = `${runKeys('damaged').queuePrefix}:rollout:`;
    const failures = new Map<string, JobFailure>();
    const refused: string[] = [];
    const done: number[] = [];
    for (const [id, [fields]] of Object.entries(DAMAGED)) {
      if (Object.keys(fields).length > 0) await redis.hset(`${prefix}${id}`, fields);
      await redis.lpush(`${prefix}wait`, id);
    }
    await redis.zadd(`${prefix}marker`, 0, '0');
    await queue.add([1, 2, 3].map((index) => ({ ...JOB, index }) as never));
    queue.work({
      name: '0',
      concurrency: 2,
      handler: (job) => Promise.resolve(void (job.kind === 'rollout' && done.push(job.index))),
      onFailed: (failure) => Promise.resolve(void failures.set(failure.jobId, failure)),
      onRefused: ({ message }) => void refused.push(message),
      onError: () => undefined,
    });
    const count = Object.keys(DAMAGED).length;
    await waitFor('all of them', () => refused.length === count && done.length === 3, 20_000);
    expect(done.sort()).toEqual([1, 2, 3]);
    for (const [id, [, said]] of Object.entries(DAMAGED)) {
      expect(failures.get(id)).toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE', reason: 'wrong-shape' });
      expect(failures.get(id)?.message).toContain(said);
    }
    expect(failures.get('r-damaged-7')).toMatchObject({ index: 7, job: null, payload: '"' });
    await waitFor('an empty queue', async () => (await queue.counts()).active === 0);
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, failed: 0, completed: 3 });
    for (const id of Object.keys(DAMAGED)) expect(await redis.exists(`${prefix}${id}`)).toBe(0);
    await queue.close();
    await server.stop();
  });

  it('is measured all the same: one that makes no sense has waited for no time', async () => {
    const server = await startTestRedis();
    const redis = await server.connect();
    const queue = new RolloutQueue(server.url, 'measured');
    const prefix = `${runKeys('measured').queuePrefix}:rollout:`;
    const jobs = [...Object.values(DAMAGED).map(([fields]) => fields), { ...FIELDS, timestamp: 'x' }];
    for (const [k, fields] of jobs.entries()) {
      if (Object.keys(fields).length > 0) await redis.hset(`${prefix}${k}`, fields);
      await redis.lpush(`${prefix}wait`, k);
      const waitedMs = await queue.waitingMs();
      expect({ fields, isMeasured: waitedMs >= 0 && Number.isFinite(waitedMs) }).toMatchObject({
        isMeasured: true,
      });
      await redis.del(`${prefix}wait`);
    }
    await redis.hset(`${prefix}good`, { ...FIELDS, timestamp: String(Date.now() - 5_000) });
    await redis.lpush(`${prefix}wait`, 'good');
    expect(await queue.waitingMs()).toBeGreaterThanOrEqual(5_000);
    await queue.close();
    await server.stop();
  });
});
