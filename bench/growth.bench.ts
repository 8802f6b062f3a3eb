import { startTestRedis } from '@forge/testing';
import type { Cost } from './growth/measured';
import { bufferedEpisodes, policies, replicas, sessions, type Measure } from './growth/subjects';

/** Subjects that grow, their sizes, and those of the long way (`FORGE_BENCH_LONG=1`). */
const SUBJECTS: readonly { what: string; unit: string; measure: Measure; sizes: number[]; long: number[] }[] =
  [
    { what: 'policies', unit: 'group', measure: policies, sizes: [1, 8, 64], long: [1, 8, 64] },
    {
      what: 'buffered episodes',
      unit: 'episode',
      measure: bufferedEpisodes,
      sizes: [1_000, 10_000, 100_000],
      long: [1_000, 10_000, 100_000, 1_000_000],
    },
    {
      what: 'replicas',
      unit: 'second of a replica',
      measure: replicas,
      sizes: [64, 256, 1_000],
      long: [64, 256, 1_000],
    },
    {
      what: 'sessions',
      unit: 'session',
      measure: sessions,
      sizes: [1_000, 10_000],
      long: [1_000, 10_000, 100_000],
    },
  ];
/** Growth that is none. */
const FLAT = 1.2;

/**
 * Cost of a unit of work as there is more of it: CPU time of Redis and of whoever uses it, and memory of Redis. The target is at most
 * 20 % above that of the smallest size.
 */
export async function run(): Promise<void> {
  const isLong = process.env['FORGE_BENCH_LONG'] === '1';
  const server = await startTestRedis();
  try {
    for (const { what, unit, measure, sizes, long } of SUBJECTS) {
      console.log(`${what}: for a ${unit}`);
      // Compilation on the first way is no cost of the first size.
      await measure(server, sizes[0]!);
      let first: Cost | null = null;
      for (const size of isLong ? long : sizes) {
        const cost = await measure(server, size);
        first ??= cost;
        console.log(`  ${size.toLocaleString('en').padStart(9)}: ${inWords(cost, first)}`);
      }
    }
  } finally {
    await server.stop();
  }
}

function inWords(cost: Cost, first: Cost): string {
  const grown = (field: keyof Cost): string => {
    const ratio = cost[field] / first[field];
    return `(${ratio.toFixed(2)} x${ratio > FLAT ? ', not flat' : ''})`;
  };
  const parts = [
    `${cost.redisMicros.toFixed(0)} µs of Redis ${grown('redisMicros')}`,
    `${cost.clientMicros.toFixed(0)} µs of its clients ${grown('clientMicros')}`,
    `at most ${Math.floor(1e6 / cost.redisMicros).toLocaleString('en')}/s`,
  ];
  if (first.redisBytes > 0) parts.push(`${cost.redisBytes.toFixed(0)} bytes ${grown('redisBytes')}`);
  return parts.join(', ');
}
