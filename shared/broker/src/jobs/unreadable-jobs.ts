import { invalidMessage } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { Script } from '../redis/script';

export interface UnreadableJob {
  id: string;
  /** Its data, as they are. */
  payload: string;
  why: ForgeError;
}

/** Soon after a worker has met one, and then with others that came meanwhile. */
const PAUSE_MS = 20;

const CLAIM_MS = 10_000;

/** Fields of a job that BullMQ reads as JSON, and adds to, before it hands a job out; what else is damaged does not matter. */
const JSON_FIELDS = ['data', 'opts', 'progress', 'parent'];
/** Belongs to a schedule; there is none here. */
const SCHEDULE = 'rjk';
const COUNTS = ['ats'];

/**
 * Removes a job that is active.
 * KEYS active, stalled, job, its lock   ARGV id
 * Returns how often it was there.
 */
const remove = new Script(`
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[4])
local count = redis.call('LREM', KEYS[1], 0, ARGV[1])
return redis.call('DEL', KEYS[3]) + count > 0 and 1 or 0
`);

/** Runs `look` after it is asked for, once at a time; returns what asks. */
export function soon(look: () => Promise<void>, onError: (error: Error) => void): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    const timer = setTimeout(() => {
      isAsked = false;
      look().catch((error: unknown) => {
        onError(error as Error);
      });
    }, PAUSE_MS);
    timer.unref();
  };
}

/**
 * Takes jobs off a queue whose stored fields BullMQ can't read. A worker would be handed them, fail to read them, and
 * leave them active until they stall, over and over.
 *
 * `tell` is told of each before it is removed, and may be told twice; `removed` once.
 */
export async function removeUnreadable(
  queue: Queue,
  redis: Redis,
  tell: (job: UnreadableJob) => Promise<void>,
  removed: (why: ForgeError) => void,
): Promise<void> {
  const key = (name: string): string => queue.toKey(name);
  const ids = await redis.lrange(key('active'), 0, -1);
  const jobs = await Promise.all(ids.map((id) => redis.hmget(key(id), ...JSON_FIELDS, ...COUNTS, SCHEDULE)));
  for (const [i, id] of ids.entries()) {
    const why = faultOf(id, jobs[i]!);
    if (why === null) continue;
    // One of several workers does it, and another if that one dies with it.
    const isMine = await redis.set(key(`${id}:unreadable`), '1', 'PX', CLAIM_MS, 'NX');
    if (isMine === null) continue;
    await tell({ id, payload: jobs[i]![0] ?? '', why });
    const keys = [key('active'), key('stalled'), key(id), key(`${id}:lock`)];
    if ((await remove.run(redis, keys, [id])) === 1) removed(why);
  }
}

function faultOf(id: string, values: readonly (string | null)[]): ForgeError | null {
  const wrong = [...JSON_FIELDS, ...COUNTS, SCHEDULE].find((field, i) => {
    const value = values[i] ?? null;
    if (value === null) return false;
    if (field === SCHEDULE) return true;
    return i < JSON_FIELDS.length ? value !== '' && !isJson(field, value) : !/^-?\d{1,15}$/.test(value);
  });
  return wrong === undefined ? null : invalidMessage(`job ${id}`, 'wrong-shape', `field ${wrong} is damaged`);
}

function isJson(field: string, text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return field !== 'opts' || value !== null;
  } catch {
    return false;
  }
}
