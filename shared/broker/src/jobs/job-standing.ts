import type { RolloutJob } from '@forge/contracts';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';

/**
 * Whether a job is still to be done: `due`; `done`, when its group has a result already or was given up; or `unknown`,
 * when it is for a group that was never admitted or a version that there is not yet.
 */
export type JobStanding = 'due' | 'done' | 'unknown';

export async function jobStanding(redis: Redis, keys: RunKeys, job: RolloutJob): Promise<JobStanding> {
  const [version, nextIndex] = await redis.hmget(keys.run, 'version', 'nextIndex');
  if (job.minVersion > Number(version ?? 0)) return 'unknown';
  if (job.kind === 'evaluation') return 'due';
  if (job.index >= Number(nextIndex ?? 0)) return 'unknown';
  return (await redis.hexists(keys.pending, String(job.index))) === 1 ? 'due' : 'done';
}
