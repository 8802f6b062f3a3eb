import { z } from 'zod';
import { weightHashesSchema } from './weights';

/**
 * One scored trajectory, ready to train on.
 *
 * Shapes: tokenIds, mask, logprobs, versions and referenceLogprobs are [T]; T = tokens of the whole episode,
 * prompt included. `mask` is 1 where the policy chose the token. Where it is 0, `logprobs` and
 * `referenceLogprobs` are 0 and `versions` is -1.
 */
export const episodeSchema = z
  .strictObject({
    tokenIds: z.array(z.int().min(0)).min(2),
    mask: z.array(z.union([z.literal(0), z.literal(1)])),
    logprobs: z.array(z.number().max(0)),
    versions: z.array(z.int().min(-1)),
    referenceLogprobs: z.array(z.number()).optional(),
    reward: z.number(),
    /** The reward by function, before weighting. */
    rewards: z.record(z.string(), z.number()),
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
  episodes: z.array(episodeSchema).min(1).max(1024),
  /** Which policy replica produced it. */
  replica: z.string(),
  /** Hash of the weights of every version that produced a token. */
  weights: weightHashesSchema,
  traceparent: z.string().optional(),
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
