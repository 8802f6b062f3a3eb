import { z } from 'zod';
import { correctionSchema } from './correction';
import { section } from './sections';
import { shapingFields } from './shaping';

export const groupSize = z.int().min(1).max(1024).default(8).describe('completions of one prompt');

/** Keys that an algorithm of the user's takes as well. */
export const updateFields = {
  groupSize,
  updatesPerBatch: z.int().min(1).max(64).default(1).describe('passes over each batch'),
  minibatches: z.int().min(1).max(1024).default(1).describe('optimizer steps of one pass over a batch'),
};

const regularizers = {
  klCoefficient: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .describe('weight of the divergence from the reference model; 0 needs no such model'),
  klEstimator: z
    .enum(['k1', 'k2', 'k3', 'k3+'])
    .default('k3')
    .describe(
      'its estimate, d being log policy - log reference: d, d^2/2, e^-d + d - 1, or k3 with the gradient of k2',
    ),
  klClamp: z.number().gt(0).optional().describe('largest size of an estimate; left out: none, verl has 10'),
  klIn: z
    .enum(['loss', 'reward'])
    .default('loss')
    .describe('added to the loss, or taken off the rewards, summed over tokens'),
  klWeighted: z
    .boolean()
    .default(false)
    .describe('multiply it by the ratio in the loss, as DeepSeek-V3.2 does'),
  entropy: section({
    bonus: z.number().min(0).max(10).default(0).describe('weight of the entropy in the objective'),
    target: z
      .number()
      .gt(0)
      .optional()
      .describe(
        'nats per token; the bonus of a sequence falls to 0 as its entropy rises to it; left out: the same everywhere',
      ),
    topShare: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe("train on this share of each sequence's tokens, those of highest entropy; left out: on all"),
  }),
};

const ratioTo = {
  ratioTo: z
    .enum(['behaviour', 'old'])
    .optional()
    .describe(
      'the policy ratios are to: the one that generated, or the one before the step; left out: old with a correction that weighs, else behaviour',
    ),
};

const credit = {
  turnDiscount: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      "credit by turn: a turn's worth is its own reward and this share of the next turn's; left out: a rollout has one worth",
    ),
};

export type NormalizationName = 'token' | 'sequence' | 'rollout' | 'constant';

/** Means of the loss, for algorithms that leave them open. */
export function normalizationFields(fallback: NormalizationName) {
  return {
    normalization: z
      .enum(['token', 'sequence', 'rollout', 'constant'])
      .default(fallback)
      .describe(
        'loss averaged over all tokens of the batch; over sequences, or rollouts of one or several of these, after a mean within each; or summed, over sequences * normalizationTokens',
      ),
    normalizationTokens: z
      .int()
      .min(1)
      .optional()
      .describe("tokens a sequence counts as when it is 'constant'; left out: those of `sampling.maxTokens`"),
  };
}

/** Keys that every built-in algorithm takes. */
export function policyFields({ punishesOverlong = false } = {}) {
  return {
    ...updateFields,
    shaping: shapingFields({ punishesOverlong }),
    correction: correctionSchema.prefault([]),
    ...ratioTo,
    ...regularizers,
    ...credit,
  };
}

const epsilon = (fallback: number) => z.number().gt(0).lt(1).default(fallback);

/** Bounds of the ratio; the upper one is the lower one where it is left out. */
export function clipFields(low = 0.2, high?: number) {
  const upper = z.number().gt(0).max(10);
  return {
    clipEpsilon: epsilon(low).describe('the ratio counts from 1 - clipEpsilon on'),
    clipEpsilonHigh: (high === undefined ? upper.optional() : upper.default(high).optional()).describe(
      'the ratio counts up to 1 + clipEpsilonHigh; left out: clipEpsilon',
    ),
    dualClip: z
      .number()
      .gt(1)
      .optional()
      .describe('a bad token counts at most as so many times its advantage; left out: no bound, verl has 3'),
  };
}

const stdEpsilon = (fallback: number) =>
  z
    .number()
    .min(0)
    .max(1)
    .default(fallback)
    .describe('added to that deviation: 1e-4 in torchforge and TRL, 1e-6 in verl, 1e-9 in OpenRLHF');

export const normalizeByStd = z
  .boolean()
  .default(true)
  .describe('divide the advantage by the standard deviation of the group');

/** GRPO's advantage. */
export const groupFields = {
  normalizeByStd,
  stdEpsilon: stdEpsilon(1e-4),
  stdEstimator: z
    .enum(['unbiased', 'population'])
    .default('unbiased')
    .describe('that deviation, as torch computes it, or that of the rewards themselves'),
};

export const bestOfGroupFields = { normalizeByStd, stdEpsilon: stdEpsilon(1e-6) };

export const whitenFields = {
  whitening: z
    .enum(['population', 'unbiased'])
    .default('population')
    .describe("deviation by which a batch's advantages are divided: OpenRLHF's, or verl's"),
};
