import { z } from 'zod';
import {
  atMost,
  CHOICE,
  COUNT,
  FINITE,
  LOGPROB,
  MAX_REWARD,
  namedNumbers,
  perToken,
  VERSION,
} from './bounded';
import { partsFault } from './rollout-parts';
import { messageVersion } from './schema-version';
import { shownMessageSchema } from './shown-message';
import { traceOriginSchema } from './trace-origin';
import { weightHashesSchema } from './weights';

/** Tokens of a sequence. Shape: [T]. */
export const tokenIdsSchema = perToken('Int32Array', COUNT);

/** The most rollouts of a group, parts of them, and turns of one. */
const MAX_EPISODES = 1024;
const MAX_TURNS = 4096;

const reward = z.number().min(-MAX_REWARD).max(MAX_REWARD);

/** Why a rollout was cut off: as many turns or tokens as it may have, no room in the context, or no time. */
export const rolloutEndSchema = z.enum(['turns', 'tokens', 'context', 'time']);

/**
 * One scored trajectory, ready to train on; or a part of one, where a conversation could not go on from the tokens so far.
 *
 * Shapes: tokenIds, mask, logprobs, versions and referenceLogprobs are [T]; T = tokens of the whole episode,
 * prompt included. `mask` is 1 where the policy chose the token. Where it is 0, `logprobs` and
 * `referenceLogprobs` are 0 and `versions` is -1. `referenceTop` is [tokens with mask 1, K].
 */
export const episodeSchema = z
  .strictObject({
    tokenIds: tokenIdsSchema.refine((ids) => ids.length >= 2, 'expected at least 2 tokens'),
    mask: perToken('Uint8Array', CHOICE),
    logprobs: perToken('Float32Array', LOGPROB),
    versions: perToken('Int32Array', VERSION),
    referenceLogprobs: perToken('Float32Array', FINITE).optional(),
    /** The K tokens that the reference finds likeliest in place of each that the policy chose, likeliest first. */
    referenceTop: z
      .strictObject({
        tokenIds: tokenIdsSchema,
        logprobs: perToken('Float32Array', LOGPROB),
      })
      .optional(),
    /** Reward of the whole rollout, in each of its parts. */
    reward,
    /** The reward by function, before weighting. */
    rewards: namedNumbers(MAX_REWARD),
    /** The generated text, for people. */
    text: z.string(),
    /**
     * Position of its rollout in the group: parts of one rollout stand together, in order. Left out: every episode is a rollout
     * of its own.
     */
    rollout: z
      .int()
      .min(0)
      .max(MAX_EPISODES - 1)
      .optional(),
    /** Reward of each turn: tokens up to position `end` that no earlier turn has are the turn's. */
    turns: atMost(MAX_TURNS, z.strictObject({ end: z.int().min(1), reward })).optional(),
    /** The messages of this part, for people. */
    conversation: atMost(MAX_TURNS, shownMessageSchema).optional(),
    /** Set where the rollout was cut off, in each of its parts. */
    end: rolloutEndSchema.optional(),
  })
  .refine(
    (e) =>
      [e.mask, e.logprobs, e.versions, e.referenceLogprobs ?? e.tokenIds].every(
        (field) => field.length === e.tokenIds.length,
      ),
    { error: 'mask, logprobs, versions and referenceLogprobs must be as long as tokenIds' },
  )
  .refine(({ referenceTop: top, mask }) => top === undefined || isByChosen(top, mask), {
    error: 'referenceTop must have as many tokenIds as logprobs, the same number for each token with mask 1',
  })
  .refine((e) => e.mask.includes(1), { error: 'mask selects no token: nothing to train on' })
  .refine((e) => e.mask.every((m, t) => (m === 1) === e.versions[t]! >= 0), {
    error: 'versions must be >= 0 exactly where mask is 1',
  })
  .refine(({ turns = [], tokenIds }) => areAscending(turns, tokenIds.length), {
    error: 'turns must end one after the other, the last at the last token at most',
  });

/** The episodes of one prompt: the unit of admission, of advantages and of batches. */
export const groupSchema = z.strictObject({
  schemaVersion: messageVersion('group'),
  runId: z.string().min(1),
  /** Position in the run's order of prompts; identifies the group. */
  index: z.int().min(0),
  sampleId: z.string().min(1),
  promptText: z.string(),
  episodes: atMost(MAX_EPISODES, episodeSchema)
    .refine((episodes) => episodes.length > 0, 'expected at least one')
    .refine((episodes) => partsFault(episodes) === null, {
      error: ({ input }) => partsFault(input as Episode[]) ?? '',
    }),
  /** Policy replica that produced it. */
  replica: z.string(),
  /** Hash of the weights of every version that produced a token. */
  weightHashes: weightHashesSchema,
  trace: traceOriginSchema.optional(),
  /** Largest |training graph - generator| log-prob of one completion under the same weights, where it was checked. */
  logprobMismatch: z.number().min(0).optional(),
});

export type Episode = z.infer<typeof episodeSchema>;
export type Group = z.infer<typeof groupSchema>;
export type RolloutEnd = z.infer<typeof rolloutEndSchema>;

function isByChosen(
  { tokenIds, logprobs }: { tokenIds: Int32Array; logprobs: Float32Array },
  mask: Uint8Array,
): boolean {
  const chosen = mask.reduce((count, one) => count + one, 0);
  return tokenIds.length === logprobs.length && tokenIds.length > 0 && tokenIds.length % chosen === 0;
}

function areAscending(turns: readonly { end: number }[], tokens: number): boolean {
  return turns.every(({ end }, i) => end > (turns[i - 1]?.end ?? 0) && end <= tokens);
}

/** The versions of tokens, wherever they are listed; -1 for tokens that no policy produced. */
interface Versioned {
  versions: Iterable<number>;
}

/** The version of an episode: that of its oldest token. */
export function episodeVersion(episode: Versioned): number {
  return oldestVersion([episode]);
}

/** The version of a group: that of the oldest token of all its episodes. */
export function oldestVersion(episodes: readonly Versioned[]): number {
  let oldest = Number.POSITIVE_INFINITY;
  for (const { versions } of episodes) for (const v of versions) if (v >= 0 && v < oldest) oldest = v;
  return oldest;
}

/** The versions that produced tokens of the episodes. */
export function versionsOf(episodes: readonly Versioned[]): number[] {
  const versions = new Set(episodes.flatMap((episode) => [...new Set<number>(episode.versions)]));
  return [...versions].filter((version) => version >= 0).sort((a, b) => a - b);
}

/** The version of the newest token of all episodes. */
export function newestVersion(episodes: readonly Versioned[]): number {
  let newest = -1;
  for (const { versions } of episodes) for (const v of versions) if (v > newest) newest = v;
  return newest;
}
