import { z } from 'zod';
import { COUNT, LOGPROB, numbers } from './bounded';
import { weightHashesSchema } from './weights';

const tokenIds = numbers(COUNT);

/**
 * Answer that the policy generated to one prompt.
 *
 * `tokenIds`, `logprobs` and `versions` have one entry per generated token: the token, its log-prob under the
 * temperature-scaled distribution it was drawn from (before top-k and top-p), and the policy version that
 * produced it. An end token that was generated is part of `tokenIds`, not of `text`. `weightHashes` has the hash
 * of each of these versions; a generator that is not told them leaves it out.
 */
export const completionSchema = z
  .strictObject({
    text: z.string(),
    promptTokenIds: tokenIds,
    tokenIds,
    logprobs: numbers(LOGPROB),
    versions: numbers(COUNT),
    weightHashes: weightHashesSchema.optional(),
    stopReason: z.enum(['end', 'stop', 'length']),
  })
  .refine((c) => c.logprobs.length === c.tokenIds.length && c.versions.length === c.tokenIds.length, {
    error: 'tokenIds, logprobs and versions must have the same length',
  });

export type Completion = z.infer<typeof completionSchema>;
