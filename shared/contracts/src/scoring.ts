import { z } from 'zod';
import { atMost, MAX_REWARD, namedNumbers } from './bounded';
import { completionSchema } from './completion';
import { sampleSchema } from './sample';
import { traceparentSchema } from './trace-origin';

const scoreItemSchema = z.strictObject({
  sample: sampleSchema,
  completion: completionSchema,
  /** The span it is scored for, null for none; left out: as for the item before. */
  traceparent: traceparentSchema.nullish(),
});

/** The argument of `score` of a reward: completions, and what was asked. */
export const scoreItemsSchema = atMost(4096, scoreItemSchema);

const scoreSchema = z.object({
  /** Weighted sum. */
  reward: z.number().min(-MAX_REWARD).max(MAX_REWARD),
  /** By function, before weighting. */
  rewards: namedNumbers(MAX_REWARD),
});

const wireErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

/** The result of `score`: for each item, in order, its score, or what its reward threw. */
export const scoreResultsSchema = z.array(
  z.union([z.strictObject({ score: scoreSchema }), z.strictObject({ error: wireErrorSchema })]),
);

export type ScoreItem = z.infer<typeof scoreItemSchema>;
