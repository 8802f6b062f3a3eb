import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry, type Redis } from '@forge/broker';
import type { Recipe } from '@forge/config';
import type { TestRedis } from '@forge/testing';
import { ServiceProcesses, smallRecipe } from './service-processes';

/** Slow part: a reward that takes 400 ms instead of none, or a trainer that runs for a tenth of the time. */
export type Slow = 'reward' | 'trainer';

/** Memory a run holds at one moment. */
export interface Reading {
  atMs: number;
  redisBytes: number;
  /** Resident memory by service. */
  residentBytes: Record<string, number>;
  inFlight: number;
  /** Groups in flight, buffered and in batches. */
  held: number;
  groups: number;
  telemetry: number;
  records: number;
  /** Jobs that wait, run or are kept. */
  jobs: number;
  version: number;
}

const READ_EVERY_MS = 250;
const SLOW_SCORE_MS = 400;
const DUTY_MS = { runs: 50, stands: 450 };

/** Small limits, which a slow service is to run into within seconds. */
export const LIMITS = {
  queuedGroups: 32,
  heldGroups: 64,
  episodesStream: 8,
  telemetryEvents: 200,
  historyGroups: 200,
  completedJobs: 100,
};

const JOBS_AT_A_TIME = 16;

/** A recipe without a staleness bound, so that nothing but the limits holds its producers back. */
export function slowRecipe(dir: string, slow: Slow): Recipe {
  const module = join(dir, 'slow-reward.mjs');
  const score = `new Promise((done) => setTimeout(done, ${SLOW_SCORE_MS}, text.length / 8))`;
  writeFileSync(module, `export default () => ({ name: 'slow', score: (_, text) => ${score} });`);
  return smallRecipe(dir, {
    steps: 1_000_000,
    maxStaleness: Infinity,
    algorithm: { name: 'grpo', groupSize: 4, klCoefficient: 0 },
    rewards: slow === 'reward' ? [{ module }] : [{ name: 'length', targetTokens: 3 }],
    evaluation: { everySteps: 0 },
    trainer: { learningRate: 1e-4, checkpointEverySteps: 1_000_000 },
    policy: { jobConcurrency: JOBS_AT_A_TIME },
    limits: LIMITS,
  });
}

/** Readings of a run in which something is slow, over so long from its first step on. */
export async function readSlowRun(
  server: Pick<TestRedis, 'url' | 'connect'>,
  dir: string,
  slow: Slow,
  forMs: number,
): Promise<Reading[]> {
  const redis = await server.connect();
  const run = await ServiceProcesses.start(server, redis, `slow-${slow}`, slowRecipe(dir, slow));
  const stopping = new AbortController();
  let slowing: Promise<void> = Promise.resolve();
  try {
    await run.reached(1);
    if (slow === 'trainer') slowing = slowDown(run, redis, stopping.signal);
    const readings: Reading[] = [];
    const startedAt = performance.now();
    const follower = new MemoryFollower(run);
    while (performance.now() - startedAt < forMs) {
      await sleep(READ_EVERY_MS);
      readings.push(await read(run, redis, await follower.residentBytes(), performance.now() - startedAt));
    }
    return readings;
  } finally {
    stopping.abort();
    await slowing;
    run.kill();
    await run.runState.remove();
  }
}

/** Stops the trainer and lets it go on in turns, until told otherwise. */
async function slowDown({ runState }: ServiceProcesses, redis: Redis, signal: AbortSignal): Promise<void> {
  const [trainer] = await new Registry(redis, runState.runId).list('trainer');
  while (!signal.aborted) {
    process.kill(trainer!.pid, 'SIGSTOP');
    await sleep(DUTY_MS.stands);
    process.kill(trainer!.pid, 'SIGCONT');
    await sleep(DUTY_MS.runs);
  }
}

/** Memory of services, as they last reported it. */
class MemoryFollower {
  private cursor = '0';
  private readonly last: Record<string, number> = {};

  constructor(private readonly run: ServiceProcesses) {}

  async residentBytes(): Promise<Record<string, number>> {
    for (const { id, event } of await this.run.runState.readTelemetry(this.cursor, 1)) {
      this.cursor = id;
      if (event?.kind === 'service') this.last[event.service] = event.values['residentBytes'] ?? 0;
    }
    return { ...this.last };
  }
}

async function read(
  { runState }: ServiceProcesses,
  redis: Redis,
  residentBytes: Record<string, number>,
  atMs: number,
): Promise<Reading> {
  const { keys } = runState;
  const [ledger, memory, groups, telemetry, records, jobKeys, version] = await Promise.all([
    runState.ledger(),
    redis.info('memory'),
    redis.xlen(keys.groups),
    redis.xlen(keys.telemetry),
    redis.hlen(keys.records),
    redis.keys(`${keys.queuePrefix}:${keys.rolloutQueue}:r-*`),
    runState.version(),
  ]);
  const { inFlight, buffered, leased } = ledger;
  return {
    atMs,
    redisBytes: Number(/^used_memory:(\d+)/m.exec(memory)?.[1]),
    residentBytes,
    inFlight,
    held: inFlight + buffered + leased,
    groups,
    telemetry,
    records,
    jobs: jobKeys.filter((key) => !key.endsWith(':lock')).length,
    version,
  };
}

/** Every limit that a reading is above, in words. */
export function aboveLimits(readings: readonly Reading[]): string[] {
  const { queuedGroups, heldGroups, episodesStream, telemetryEvents, historyGroups, completedJobs } = LIMITS;
  /**
   * Streams are trimmed by nodes of 100 entries; records and jobs of what is under way come on top, those jobs included
   * whose group is published and that are not over yet.
   */
  const bounds: [keyof Reading, number][] = [
    ['inFlight', queuedGroups],
    ['held', heldGroups],
    ['groups', episodesStream],
    ['telemetry', telemetryEvents + 100],
    ['records', historyGroups + heldGroups],
    ['jobs', completedJobs + queuedGroups + JOBS_AT_A_TIME],
  ];
  return bounds.flatMap(([name, bound]) => {
    const most = Math.max(...readings.map((reading) => reading[name] as number));
    return most > bound ? [`${name} reached ${most}, above ${bound}`] : [];
  });
}

/**
 * The highest values of a series in the middle and the last third of the readings: what grows has higher peaks, while a
 * mean also depends on when the garbage collector came.
 */
export function thirds(
  readings: readonly Reading[],
  value: (reading: Reading) => number,
): { middle: number; last: number } {
  const third = Math.floor(readings.length / 3);
  const peak = (part: readonly Reading[]) => Math.max(...part.map(value));
  return { middle: peak(readings.slice(third, -third)), last: peak(readings.slice(-third)) };
}
