import { z } from 'zod';
import { redisWaitSeconds } from './sections';

/** Bounds on what a run holds, how often it tries and how long it waits. */
export const limitsFields = {
  queuedGroups: z.int().min(1).default(512).describe('admitted groups in flight at most'),
  heldGroups: z
    .int()
    .min(1)
    .default(4_096)
    .describe('groups in flight, buffered and in batches at most; generation waits for the trainer beyond'),
  episodesStream: z.int().min(1).default(1024).describe('groups waiting for the replay buffer at most'),
  jobAttempts: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('how often a job, or a sample of an evaluation, is tried before it becomes a dead letter'),
  completedJobs: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('completed jobs kept, for an hour at most: adding one of these again does nothing'),
  deadLetters: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1_000)
    .describe('dead letters kept; the oldest make room and are counted'),
  telemetryEvents: z
    .int()
    .min(100)
    .max(10_000_000)
    .default(20_000)
    .describe('events of the telemetry stream kept, for people'),
  spans: z
    .int()
    .min(64)
    .max(10_000_000)
    .default(20_000)
    .describe('finished spans kept in Redis until the coordinator has written them down'),
  spansFileMiB: z
    .number()
    .gt(0)
    .max(1_048_576)
    .default(256)
    .describe('size of the span files of a run; the older half makes room'),
  keepStateHours: z
    .number()
    .gt(0)
    .max(87_600)
    .default(72)
    .describe('how long the state of a run stays in Redis after it is over or nobody runs it any more'),
  historyGroups: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(100_000)
    .describe('groups whose history the ledger keeps, about 100 bytes each; older ones are counted'),
  heartbeatMs: z.int().min(50).max(60_000).default(500).describe('between two registrations of a replica'),
  restartsPerMinute: z
    .int()
    .min(0)
    .max(1000)
    .default(10)
    .describe('a process, or an own Redis, that dies more often within a minute ends the run'),
  stallSeconds: z
    .number()
    .gt(0)
    .max(86_400)
    .default(10)
    .describe(
      'the least silence after which a run says what it waits for; a slow step may be silent for longer, by its own pace',
    ),
  callTimeoutMs: z
    .int()
    .min(100)
    .default(120_000)
    .describe('deadline of a call between services; one whose event loop is blocked for so long is ended'),
  drainSeconds: z.number().gt(0).max(3600).default(10).describe('a stopping service may take this long'),
  redisWaitSeconds: redisWaitSeconds(z.number()).describe(
    'how long a process that starts waits for a Redis that does not answer',
  ),
};
