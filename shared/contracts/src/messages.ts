import { z } from 'zod';
import { atMost, BINARY, COUNT, FINITE, LOGPROB, MAX_REWARD, namedNumbers, numbers } from './bounded';
import { metricReportSchema } from './recorded-metrics';
import { stepProgressSchema } from './step-progress';
import { rolloutEndSchema } from './episode';
import { sampleSchema } from './sample';
import { messageVersion } from './schema-version';
import { shownMessageSchema } from './shown-message';
import { traceOriginSchema } from './trace-origin';
import { carriedWorthsSchema } from './worth';

/** Job of the `rollout` queue: generate and score one group, or one slice of an evaluation. */
export const rolloutJobSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('rollout'),
    schemaVersion: messageVersion('rolloutJob'),
    index: z.int().min(0),
    sample: sampleSchema,
    /** No token of this group may come from a policy older than this. */
    minVersion: z.int().min(0),
    trace: traceOriginSchema.optional(),
  }),
  z.strictObject({
    kind: z.literal('evaluation'),
    schemaVersion: messageVersion('rolloutJob'),
    /** Policy version that asked for the evaluation; the policy answers with this version or a newer one. */
    minVersion: z.int().min(0),
    part: z.int().min(0),
    parts: z.int().min(1),
    samples: atMost(1024, sampleSchema).refine((samples) => samples.length > 0, 'expected at least one'),
  }),
]);

/** Entry of the `batches` stream: batch n is trained at version n and produces version n + 1. */
export const batchSchema = z.strictObject({
  schemaVersion: messageVersion('batch'),
  /** Policy version it is trained at. */
  version: z.int().min(0),
  /** Trained groups in the order they enter the batch, each with the worth of every episode; null: it is not trained on. */
  groups: atMost(
    65_536,
    z.strictObject({
      index: z.int().min(0),
      advantages: carriedWorthsSchema,
      trace: traceOriginSchema.optional(),
    }),
  ).refine((groups) => groups.length > 0, 'expected at least one'),
  /** Means over all candidate groups, those not selected included. */
  statistics: namedNumbers(),
});

/** Work that failed for good, or a message that made no sense, kept for people. */
export const deadLetterSchema = z.strictObject({
  schemaVersion: messageVersion('deadLetter'),
  /** A rollout job, one or more samples of an evaluation, a message of the groups stream, or a job of no known kind. */
  kind: z.enum(['rollout', 'evaluation', 'message', 'job']),
  /** The group it is about. */
  index: z.int().min(0).nullable(),
  code: z.string(),
  message: z.string(),
  attempts: z.int().min(0),
  /** Payload as it came, cut at 64 KiB: JSON of a job, bytes of a message. */
  payload: z.instanceof(Uint8Array).meta(BINARY),
  /** Size of the whole payload. */
  sizeBytes: z.int().min(0),
});

const values = namedNumbers();
const count = z.int().min(0);
/** Name of a service or a replica. */
const name = z.string().min(1).max(128);

/** Bounds of a rollout that is shown: completions with their tokens, and tokens. */
export const SHOWN_COMPLETIONS = 8;
export const SHOWN_TOKENS = { perCompletion: 512, perRollout: 1024 };

/** Bounds of the messages of such a rollout. */
export const SHOWN_MESSAGES = {
  perCompletion: 128,
  charactersPerText: 8_192,
  charactersPerRollout: 131_072,
};

/** Tokens for people. Shapes: all [T]. */
const shownTokensSchema = z
  .strictObject({
    texts: atMost(SHOWN_TOKENS.perCompletion, z.string()),
    logprobs: numbers(LOGPROB, SHOWN_TOKENS.perCompletion),
    versions: numbers(COUNT, SHOWN_TOKENS.perCompletion),
  })
  .refine(
    ({ texts, logprobs, versions }) => texts.length === logprobs.length && texts.length === versions.length,
    { error: 'texts, logprobs and versions must be as many' },
  );

/**
 * Entry of the `telemetry` stream: numbers and samples for people; trimmed by length, never work. It has no version:
 * fields that a reader does not know are passed over.
 */
export const telemetryEventSchema = z.discriminatedUnion('kind', [
  /** Metrics of one optimizer step. */
  z.object({ kind: z.literal('step'), step: count, values }),
  /** One slice of a held-out evaluation. */
  z.object({
    kind: z.literal('evaluation'),
    version: count,
    part: count,
    parts: z.int().min(1),
    correct: count,
    total: count,
    /** Samples of the rest that could not be answered or judged; left out: none. */
    failed: count.optional(),
    /** Samples among the failed ones that do not count as wrong: what should have judged them was at fault; left out: none. */
    unjudged: count.optional(),
  }),
  /** Work of a service since its last report, e.g. `tokens`, `busyMs`, `residentBytes`. */
  z.object({ kind: z.literal('service'), service: name, replica: name, values }),
  /** Metrics that a service, and the code that runs on its behalf, recorded since its last such report. */
  z.object({
    kind: z.literal('recorded'),
    service: name,
    replica: name,
    /** Start of the replica, and number of the report within it: one that comes twice is known again. */
    incarnation: name,
    sequence: count,
    reports: atMost(1_024, metricReportSchema),
  }),
  /** A rollout to show. */
  z.object({
    kind: z.literal('rollout'),
    index: count,
    version: count,
    prompt: z.string(),
    texts: atMost(1024, z.string()),
    /** Weighted sums. */
    rewards: numbers(FINITE, 1024),
    /** Rewards by function of each completion, before weighting. */
    rewardsByFunction: atMost(1024, namedNumbers(MAX_REWARD)).optional(),
    /** First tokens that the policy chose, of the first completions. */
    tokens: atMost(SHOWN_COMPLETIONS, shownTokensSchema).optional(),
    /** Messages of the first completions, where they are of several turns; none of one that is not. */
    conversations: atMost(
      SHOWN_COMPLETIONS,
      atMost(SHOWN_MESSAGES.perCompletion, shownMessageSchema),
    ).optional(),
    /** Why completions were cut off; null for one that came to its end. */
    ends: atMost(1024, rolloutEndSchema.nullable()).optional(),
  }),
  /** Change of a running run: a setting, how many replicas there are, a restart, a pause. */
  z.object({
    kind: z.literal('control'),
    /** The same when it is told twice. */
    id: z.string(),
    /** Version of the policy at the time. */
    version: z.int(),
    operation: z.enum(['set', 'scale', 'restart', 'pause', 'unpause', 'tune']),
    /** Setting, service, or process. */
    name: z.string(),
    /** Before and after; empty where there was, or is, none. */
    from: z.string(),
    to: z.string(),
    /** Why the run changed it by itself. */
    reason: z.string().max(1000).optional(),
  }),
  /** How far the step under way is, about once a second. */
  z.object({ kind: z.literal('progress'), progress: stepProgressSchema }),
  /** Reason why nothing has changed for a while; null when the run goes on. */
  z.object({ kind: z.literal('waiting'), for: z.string().nullable() }),
  /** A run-level change: `running`, `resumed`, `saved`, `finished`, `failed` with a message. */
  z.object({ kind: z.literal('run'), state: z.string().max(64), message: z.string().optional() }),
]);

export type RolloutJob = z.infer<typeof rolloutJobSchema>;
export type Batch = z.infer<typeof batchSchema>;
export type DeadLetter = z.infer<typeof deadLetterSchema>;
export type ShownTokens = z.infer<typeof shownTokensSchema>;
export type TelemetryEvent = z.infer<typeof telemetryEventSchema>;
