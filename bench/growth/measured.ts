import type { Redis } from '@forge/broker';

/** Cost of some work, for one unit of it. */
export interface Cost {
  /** CPU time of the processes that use Redis. */
  clientMicros: number;
  /** CPU time of Redis. */
  redisMicros: number;
  /** Memory that is taken in Redis when the work is done. */
  redisBytes: number;
}

async function field(redis: Redis, section: string, name: string): Promise<number> {
  return Number(new RegExp(`^${name}:(.*)$`, 'm').exec(await redis.info(section))?.[1]);
}

async function redisMicros(redis: Redis): Promise<number> {
  const parts = ['used_cpu_sys', 'used_cpu_user'].map((name) => field(redis, 'cpu', name));
  return (await Promise.all(parts)).reduce((sum, seconds) => sum + seconds * 1e6, 0);
}

/** Cost of `work`, which does `units` of something. CPU time, since others use the machine, too. */
export async function costOf(redis: Redis, units: number, work: () => Promise<unknown>): Promise<Cost> {
  const before = {
    client: process.cpuUsage(),
    redis: await redisMicros(redis),
    bytes: await field(redis, 'memory', 'used_memory'),
  };
  await work();
  const { user, system } = process.cpuUsage(before.client);
  const [spent, bytes] = [await redisMicros(redis), await field(redis, 'memory', 'used_memory')];
  return {
    clientMicros: (user + system) / units,
    redisMicros: (spent - before.redis) / units,
    redisBytes: (bytes - before.bytes) / units,
  };
}

/** Does `act` for all items, some at a time. */
export async function atOnce<T>(
  items: readonly T[],
  count: number,
  act: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) await act(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, worker));
}

/** The numbers below `count`. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
