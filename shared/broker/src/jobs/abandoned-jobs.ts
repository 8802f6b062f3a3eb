import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';

export interface AbandonedJobsOptions {
  queue: Queue;
  /** A connection of its own: each time it is ready, jobs may have been abandoned. */
  redis: Redis;
  /** Name of the worker; no two that work at the same time share one. */
  worker: string;
  /** Whether this worker is doing a job. */
  isDoing: (jobId: string) => boolean;
  /** Workers that may die with a job; the queue's own check gives it up at the next death. */
  maxDeaths: number;
  onError: (error: Error) => void;
}

/** Until whatever was under way when the connection came back has arrived. */
const GRACE_MS = 1_000;

/**
 * Puts jobs back at once that are active under the name of a worker which does not do them: its predecessor died with
 * them, or the answer that handed them out was lost with Redis. Without it they wait until their lock runs out. One
 * whose worker is alive after all runs twice, which its effects allow for.
 *
 * It counts as a stall, so that a job which kills its worker again and again is left to the queue's own check, which
 * gives it up.
 *
 * @returns what ends it.
 */
export function putBackAbandoned({
  queue,
  redis,
  worker,
  isDoing,
  maxDeaths,
  onError,
}: AbandonedJobsOptions): () => void {
  let isEnded = false;
  const look = async (beforeMs: number): Promise<void> => {
    for (const job of await queue.getActive()) {
      const { id = '', processedBy, processedOn = Infinity, stalledCounter } = job;
      if (processedBy !== worker || processedOn >= beforeMs || isDoing(id) || stalledCounter >= maxDeaths)
        continue;
      const lock = await redis.get(queue.toKey(`${id}:lock`));
      if (lock === null) continue;
      await redis.hincrby(queue.toKey(id), 'stc', 1);
      // Another worker holds the lock by now and has the job.
      await job.moveToWait(lock).catch(() => undefined);
    }
  };
  const lookAfter = (graceMs: number): void => {
    const beforeMs = Date.now();
    const timer = setTimeout(() => {
      look(beforeMs).catch((error: unknown) => {
        if (!isEnded) onError(error as Error);
      });
    }, graceMs);
    timer.unref();
  };
  lookAfter(0);
  let isFirst = true;
  redis.on('ready', () => {
    if (!isFirst) lookAfter(GRACE_MS);
    isFirst = false;
  });
  return () => {
    isEnded = true;
    redis.disconnect();
  };
}
