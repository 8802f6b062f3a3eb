import { rmSync } from 'node:fs';
import { startTestRedis } from '@forge/testing';
import { directoryWithModel } from '../e2e/service-processes';
import { aboveLimits, readSlowRun, thirds, type Reading, type Slow } from '../e2e/slowness';

/**
 * A third of it is about as long as a policy's memory takes to swing, since the policy drops the sessions of old
 * weights when it likes.
 */
const FOR_MS = 120_000;
/** Growth that counts as flat: the garbage collector of a small process alone makes a few MiB. */
const FLAT = { share: 0.05, bytes: 8 * 2 ** 20 };

/**
 * Memory of Redis and of every service while a reward, or the trainer, takes ten times as long and nothing but the
 * limits holds the others back: the peak of the last third of the time against that of the middle third.
 *
 * @throws {Error} when one grows, or a limit is passed.
 */
export async function run(): Promise<void> {
  const [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
  try {
    for (const slow of ['reward', 'trainer'] as const)
      report(slow, await readSlowRun(redis, dir, slow, FOR_MS));
  } finally {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

function report(slow: Slow, readings: readonly Reading[]): void {
  const last = readings.at(-1)!;
  const problems = aboveLimits(readings);
  const { inFlight, held, groups, jobs } = last;
  console.log(
    `slow ${slow}: ${last.version - readings[0]!.version} steps in ${FOR_MS / 1000} s; at its end ${inFlight} groups in flight, ${held} held, ${groups} in the groups stream, ${jobs} jobs`,
  );
  const series: [string, (reading: Reading) => number][] = [
    ['redis', ({ redisBytes }) => redisBytes],
    ...Object.keys(last.residentBytes).map((service): [string, (reading: Reading) => number] => [
      service,
      ({ residentBytes }) => residentBytes[service] ?? 0,
    ]),
  ];
  for (const [name, value] of series) {
    const { middle, last: end } = thirds(readings, value);
    const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1).padStart(7);
    console.log(
      `  ${name.padEnd(14)} peak of the middle third ${mebibytes(middle)} MiB, of the last ${mebibytes(end)} MiB, ratio ${(end / middle).toFixed(3)}`,
    );
    if (end > middle * (1 + FLAT.share) + FLAT.bytes) problems.push(`${name} grows`);
  }
  if (problems.length > 0) throw new Error(`with a slow ${slow}: ${problems.join('; ')}`);
}
