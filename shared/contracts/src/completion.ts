import { z } from 'zod';
import { isCount, isLogprob, numbers } from './bounded';
import { weightHashesSchema } from './weights';

const tokenIds = numbers(isCount, 'an int >= 0');

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
    logprobs: numbers(isLogprob, 'a finite number <= 0'),
    versions: numbers(isCount, 'an int >= 0'),
    weightHashes: weightHashesSchema.optional(),
    stopReason: z.enum(['end', 'stop', 'length']),
  })
  .refine((c) => c.logprobs.length === c.tokenIds.length && c.versions.length === c.tokenIds.length, {
    error: 'tokenIds, logprobs and versions must have the same length',
  });

export type Completion = z.infer<typeof completionSchema>;
