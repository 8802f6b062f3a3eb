import type { Redis, RunState } from '@forge/broker';
import { waitFor, type Random } from '@forge/testing';
import {
  hostileBatch,
  hostileGroup,
  hostileJob,
  hostileSpans,
  hostileTelemetry,
  hostileWeights,
  type HostileEntry,
  type RunFacts,
} from './hostile-entries';
import { Tally } from './tally';

/** Written at once; then it is waited until most of it is read, so that the run's own messages get through. */
const BURST = 256;
/** Bursts to streams whose oldest entries make room for new ones: weights keep a short window, spans a longer one. */
const SMALLER_BURSTS: Partial<Record<Stream, number>> = { weights: 16, spans: 128 };
const READ_WITHIN_MS = 120_000;
const MESSAGES = {
  groups: hostileGroup,
  batches: hostileBatch,
  weights: hostileWeights,
  telemetry: hostileTelemetry,
  spans: hostileSpans,
} as const;

export type Stream = keyof typeof MESSAGES;
export const STREAMS = Object.keys(MESSAGES) as Stream[];

/** Sends `count` messages to a stream of a run, all of which are to be refused. */
export async function sendToStream(
  redis: Redis,
  { keys }: RunState,
  stream: Stream,
  facts: () => Promise<RunFacts>,
  random: Random,
  count: number,
): Promise<Tally> {
  const tally = new Tally(`stream ${stream}`);
  const make = MESSAGES[stream];
  // Telemetry that is in order stays.
  const keeps = stream === 'telemetry' || stream === 'weights';
  const burst = SMALLER_BURSTS[stream] ?? BURST;
  while (tally.sent < count) {
    const now = await facts();
    const entries = Array.from({ length: Math.min(burst, count - tally.sent) }, () => make(random, now));
    const before = keeps ? await redis.xlen(keys[stream]) : 0;
    await addEntries(redis, keys[stream], entries, tally);
    const isRead = async () => (await redis.xlen(keys[stream])) <= before + burst / 2;
    await waitFor(`${stream} to be read`, isRead, READ_WITHIN_MS);
  }
  return tally;
}

/** Wake-ups that say nonsense; nothing is read of them. */
export async function sendSignals(redis: Redis, { keys }: RunState, count: number): Promise<Tally> {
  const tally = new Tally('stream signals');
  while (tally.sent < count) {
    const pipeline = redis.pipeline();
    for (let i = 0; i < BURST && tally.sent < count; i++) {
      const what = i % 2 === 0 ? 'finished' : Buffer.alloc(64, 0xc1);
      pipeline.xadd(keys.signals, 'MAXLEN', '~', 100, '*', i % 3 === 0 ? 'x' : 'what', what);
      tally.add(i % 2 === 0 ? 'untrue' : 'random bytes');
    }
    await pipeline.exec();
  }
  return tally;
}

async function addEntries(
  redis: Redis,
  stream: string,
  entries: readonly HostileEntry[],
  tally: Tally,
): Promise<void> {
  const pipeline = redis.pipeline();
  for (const { kind, fields } of entries) {
    pipeline.xadd(stream, '*', ...fields);
    tally.add(kind);
  }
  await pipeline.exec();
}

/** Puts jobs that make no sense straight into the queue, as BullMQ stores them. */
export async function sendJobs(
  redis: Redis,
  { keys }: RunState,
  random: Random,
  count: number,
): Promise<Tally> {
  const tally = new Tally('queue rollout');
  const prefix = `${keys.queuePrefix}:${keys.rolloutQueue}:`;
  while (tally.sent < count) {
    const pipeline = redis.pipeline();
    for (let i = Math.min(BURST, count - tally.sent); i > 0; i--) {
      const { kind, fields } = hostileJob(random);
      const id = `fuzz-${tally.sent}${random() < 0.01 ? 'x'.repeat(1_000) : ''}`;
      if (Object.keys(fields).length > 0) pipeline.hset(`${prefix}${id}`, fields);
      pipeline.lpush(`${prefix}wait`, id);
      tally.add(kind);
    }
    pipeline.zadd(`${prefix}marker`, 0, '0');
    await pipeline.exec();
    const isTaken = async () => (await redis.llen(`${prefix}wait`)) <= BURST / 2;
    await waitFor('the jobs to be taken', isTaken, READ_WITHIN_MS);
  }
  return tally;
}
