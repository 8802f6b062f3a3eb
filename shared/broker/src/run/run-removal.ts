import type { Redis } from 'ioredis';
import { runKeys } from '../keys';
import { serversOf } from '../redis/open-connection';

const SCANNED_AT_ONCE = 500;
/** Keys of BullMQ whose own, short time is what brings the jobs of a dead worker back. */
const HAS_OWN_TIME = /:(lock|stalled-check|limiter)$/;
const RUN_KEY = /^(forge:\{.+\}):/;

/** Deletes everything of a run, the keys of BullMQ included. */
export async function removeRun(redis: Redis, runId: string): Promise<void> {
  await forEachKey(redis, runKeys(runId).all, (keys) => redis.unlink(...keys));
}

/**
 * Lets everything of a run expire by itself, the keys of BullMQ included; the next call starts the time anew. Keys that
 * are made later do not expire: a run that goes on calls it again and again.
 */
export async function expireRun(redis: Redis, runId: string, afterMs: number): Promise<void> {
  await forEachKey(redis, runKeys(runId).all, (keys) =>
    Promise.all(
      keys.filter((key) => !HAS_OWN_TIME.test(key)).map((key) => redis.pexpire(key, Math.ceil(afterMs))),
    ),
  );
}

/**
 * Deletes what runs have left that expired or were removed: keys that were made after their last `expireRun`. The ids
 * of these runs.
 */
export async function removeOrphans(redis: Redis): Promise<string[]> {
  const isOrphan = new Map<string, boolean>();
  await forEachKey(redis, 'forge:{*}:*', async (keys) => {
    for (const key of keys) {
      const [, prefix] = RUN_KEY.exec(key) ?? [];
      if (prefix === undefined) continue;
      if (!isOrphan.has(prefix)) isOrphan.set(prefix, (await redis.exists(`${prefix}:run`)) === 0);
      if (isOrphan.get(prefix)) await redis.unlink(key);
    }
  });
  return [...isOrphan].flatMap(([prefix, is]) => (is ? [prefix.slice('forge:{'.length, -1)] : []));
}

/** Calls `act` for the keys that match on every server; they may be of several runs. */
async function forEachKey(
  redis: Redis,
  match: string,
  act: (keys: readonly string[]) => Promise<unknown>,
): Promise<void> {
  for (const server of serversOf(redis)) {
    let cursor = '0';
    do {
      const [next, keys] = await server.scan(cursor, 'MATCH', match, 'COUNT', SCANNED_AT_ONCE);
      if (keys.length > 0) await act(keys);
      cursor = next;
    } while (cursor !== '0');
  }
}
