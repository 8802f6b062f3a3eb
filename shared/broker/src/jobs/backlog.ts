import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import { Script } from '../redis/script';

/** Work that waits in one place, and the age of its oldest; 0 where nothing waits. */
export interface Waiting {
  depth: number;
  ageMs: number;
}

/**
 * Reads the lengths of a run's streams and the times of their oldest entries.
 *
 * KEYS groups, batches, buffer
 * ARGV none
 * Returns the length of groups and the id of its first entry ('' for none), the same of batches, the size of buffer.
 */
const READ = new Script(`
local function stream(key)
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  return redis.call('XLEN', key), first and first[1] or ''
end
local groups, group = stream(KEYS[1])
local batches, batch = stream(KEYS[2])
return { groups, group, batches, batch, redis.call('HLEN', KEYS[3]), redis.call('TIME') }
`);

/** Work of a run that is done in part. */
export interface Backlog {
  /** Groups on their way to the replay buffer. */
  groups: Waiting;
  /** Batches that are formed and not committed. */
  batches: Waiting;
  /** Groups in the replay buffer. */
  buffered: number;
}

/** Work that waits for the next service of the pipeline now. */
export async function readBacklog(
  redis: Redis,
  { groups, batches, buffer }: Pick<RunKeys, 'groups' | 'batches' | 'buffer'>,
): Promise<Backlog> {
  const reply = await READ.run(redis, [groups, batches, buffer], []);
  const [groupsLength, group, batchesLength, batch, buffered, [seconds, microseconds]] = reply as [
    number,
    string,
    number,
    string,
    number,
    [string, string],
  ];
  const nowMs = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  const waiting = (depth: number, id: string): Waiting => ({
    depth,
    ageMs: id === '' ? 0 : Math.max(0, nowMs - Number(id.split('-')[0])),
  });
  return { groups: waiting(groupsLength, group), batches: waiting(batchesLength, batch), buffered };
}
