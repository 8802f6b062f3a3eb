import { z } from 'zod';
import { sampleSchema } from './sample';

/** Job of the `rollout` queue: generate and score one group, or one slice of an evaluation. */
export const rolloutJobSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('rollout'),
    schemaVersion: z.literal(1),
    index: z.int().min(0),
    sample: sampleSchema,
    /** No token of this group may come from a policy older than this. */
    minVersion: z.int().min(0),
    traceparent: z.string().optional(),
  }),
  z.strictObject({
    kind: z.literal('evaluation'),
    schemaVersion: z.literal(1),
    /** Policy version that asked for the evaluation; the policy answers with this version or a newer one. */
    minVersion: z.int().min(0),
    part: z.int().min(0),
    parts: z.int().min(1),
    samples: z.array(sampleSchema).min(1),
  }),
]);

/** Entry of the `batches` stream: batch n is trained at version n and produces version n + 1. */
export const batchSchema = z.strictObject({
  schemaVersion: z.literal(1),
  step: z.int().min(0),
  /** Trained groups in the order they enter the batch, each with one advantage per episode. */
  groups: z.array(z.strictObject({ index: z.int().min(0), advantages: z.array(z.number()) })).min(1),
  /** Means over all candidate groups, those not selected included. */
  statistics: z.record(z.string(), z.number()),
});

/** Work that failed for good, or a message that made no sense, kept for people. */
export const deadLetterSchema = z.strictObject({
  schemaVersion: z.literal(1),
  /** A rollout job, one or more samples of an evaluation, a message of the episodes stream, or a job of no known kind. */
  kind: z.enum(['rollout', 'evaluation', 'message', 'job']),
  /** The group it is about. */
  index: z.int().min(0).nullable(),
  code: z.string(),
  message: z.string(),
  attempts: z.int().min(0),
  /** As it came: JSON of a job, bytes of a message; cut at 64 KiB. */
  payload: z.instanceof(Uint8Array),
  /** Of the whole payload. */
  sizeBytes: z.int().min(0),
});

const values = z.record(z.string(), z.number());

/** Entry of the `telemetry` stream: numbers and samples for people; trimmed by length, never work. */
export const telemetryEventSchema = z.discriminatedUnion('kind', [
  /** Metrics of one optimizer step. */
  z.strictObject({ kind: z.literal('step'), step: z.int(), values }),
  /** One slice of a held-out evaluation. */
  z.strictObject({
    kind: z.literal('evaluation'),
    version: z.int(),
    part: z.int(),
    parts: z.int(),
    correct: z.int(),
    total: z.int(),
    /** Of the rest, those that could not be answered or judged; left out: none. */
    failed: z.int().optional(),
  }),
  /** What a service did since its last report, e.g. `tokens`, `busyMs`, `residentBytes`. */
  z.strictObject({ kind: z.literal('service'), service: z.string(), replica: z.string(), values }),
  /** A rollout to show. */
  z.strictObject({
    kind: z.literal('rollout'),
    index: z.int(),
    version: z.int(),
    prompt: z.string(),
    texts: z.array(z.string()),
    rewards: z.array(z.number()),
  }),
  /** What the run waits for, when nothing has changed for a while; null when it goes on. */
  z.strictObject({ kind: z.literal('waiting'), for: z.string().nullable() }),
  /** A run-level change: `running`, `finished`, `failed` with a message. */
  z.strictObject({ kind: z.literal('run'), state: z.string(), message: z.string().optional() }),
]);

export type RolloutJob = z.infer<typeof rolloutJobSchema>;
export type Batch = z.infer<typeof batchSchema>;
export type DeadLetter = z.infer<typeof deadLetterSchema>;
export type TelemetryEvent = z.infer<typeof telemetryEventSchema>;
