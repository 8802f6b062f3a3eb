import { z } from 'zod';
import { atMost, isCount, isLogprob, MAX_REWARD, namedNumbers, numbers } from './bounded';
import { traceOriginSchema } from './trace-origin';
import { weightHashesSchema } from './weights';

const isVersion = (value: number): boolean => value === -1 || isCount(value);

/**
 * One scored trajectory, ready to train on.
 *
 * Shapes: tokenIds, mask, logprobs, versions and referenceLogprobs are [T]; T = tokens of the whole episode,
 * prompt included. `mask` is 1 where the policy chose the token. Where it is 0, `logprobs` and
 * `referenceLogprobs` are 0 and `versions` is -1.
 */
export const episodeSchema = z
  .strictObject({
    tokenIds: numbers(isCount, 'an int >= 0').refine((ids) => ids.length >= 2, 'expected at least 2 tokens'),
    mask: numbers((value) => value === 0 || value === 1, '0 or 1') as z.ZodType<(0 | 1)[]>,
    logprobs: numbers(isLogprob, 'a finite number <= 0'),
    versions: numbers(isVersion, 'an int >= -1'),
    referenceLogprobs: numbers(Number.isFinite, 'a finite number').optional(),
    reward: z.number().min(-MAX_REWARD).max(MAX_REWARD),
    /** The reward by function, before weighting. */
    rewards: namedNumbers(MAX_REWARD),
    /** The generated text, for people. */
    text: z.string(),
  })
  .refine(
    (e) =>
      [e.mask, e.logprobs, e.versions, e.referenceLogprobs ?? e.tokenIds].every(
        (field) => field.length === e.tokenIds.length,
      ),
    { error: 'mask, logprobs, versions and referenceLogprobs must be as long as tokenIds' },
  )
  .refine((e) => e.mask.includes(1), { error: 'mask selects no token: nothing to train on' })
  .refine((e) => e.mask.every((m, t) => (m === 1) === e.versions[t]! >= 0), {
    error: 'versions must be >= 0 exactly where mask is 1',
  });

/** The episodes of one prompt: the unit of admission, of advantages and of batches. */
export const groupSchema = z.strictObject({
  schemaVersion: z.literal(1),
  runId: z.string().min(1),
  /** Position in the run's order of prompts; identifies the group. */
  index: z.int().min(0),
  sampleId: z.string().min(1),
  promptText: z.string(),
  episodes: atMost(1024, episodeSchema).refine((episodes) => episodes.length > 0, 'expected at least one'),
  /** Which policy replica produced it. */
  replica: z.string(),
  /** Hash of the weights of every version that produced a token. */
  weights: weightHashesSchema,
  trace: traceOriginSchema.optional(),
  /** Largest |training graph - generator| log-prob of one completion under the same weights, where it was checked. */
  logprobMismatch: z.number().min(0).optional(),
});

export type Episode = z.infer<typeof episodeSchema>;
export type Group = z.infer<typeof groupSchema>;

/** The version of an episode is that of its oldest token. */
export function episodeVersion(episode: Pick<Episode, 'versions'>): number {
  return oldestVersion([episode]);
}

/** The version of a group is that of the oldest token of all its episodes. */
export function oldestVersion(episodes: readonly Pick<Episode, 'versions'>[]): number {
  let oldest = Number.POSITIVE_INFINITY;
  for (const { versions } of episodes) for (const v of versions) if (v >= 0 && v < oldest) oldest = v;
  return oldest;
}

/** The versions that produced tokens of the episodes. */
export function versionsOf(episodes: readonly Pick<Episode, 'versions'>[]): number[] {
  const versions = new Set(episodes.flatMap((episode) => [...new Set(episode.versions)]));
  return [...versions].filter((version) => version >= 0).sort((a, b) => a - b);
}

/** The version of the newest token of all episodes. */
export function newestVersion(episodes: readonly Pick<Episode, 'versions'>[]): number {
  let newest = -1;
  for (const { versions } of episodes) for (const v of versions) if (v > newest) newest = v;
  return newest;
}
