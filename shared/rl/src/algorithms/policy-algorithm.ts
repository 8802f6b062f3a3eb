import type { Episode } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import {
  constantMean,
  rolloutMean,
  sequenceMean,
  tokenMean,
  type BatchMean,
  type Normalization,
} from '../losses/batch-mean';
import type { DivergenceOptions } from '../losses/divergence';
import { policyLoss, type PolicyLossOptions, type Surrogate } from '../losses/policy-loss';
import { divergenceCosts, shapeRewards, type ShapingOptions } from '../shaping/shape-rewards';
import { turnCredit } from '../advantages/turn-credit';
import { defineAlgorithm, type Algorithm, type AlgorithmDefinition } from './algorithm';

/** Options that every algorithm of the catalogue takes. */
export interface PolicyOptions extends PolicyLossOptions {
  shaping?: ShapingOptions | undefined;
  normalization?: Normalization | undefined;
  /** Tokens that a sequence counts as with normalization 'constant': the longest completion, in Dr. GRPO. */
  normalizationTokens?: number | undefined;
  /** Credit by turn: the share of the next turn's return that a turn is worth beside its own reward. Left out: none. */
  turnDiscount?: number | undefined;
}

export interface PolicyParts extends Omit<AlgorithmDefinition, 'loss' | 'shape'> {
  surrogate: Surrogate;
  /** Default for recipes without one. */
  normalization: Normalization;
  /** For a mean that is a part of the algorithm itself. */
  mean?: BatchMean;
  /** Set when `advantage` takes the divergence off by token itself, with `klIn` 'reward'. */
  costsTokens?: boolean;
}

/** An algorithm of the catalogue: its own parts, with the shaping, corrections and regularisers that all have. */
export function policyAlgorithm(options: PolicyOptions, parts: PolicyParts): Algorithm {
  const {
    surrogate,
    normalization,
    mean,
    costsTokens = false,
    needsReference = false,
    ...definition
  } = parts;
  const { klCoefficient = 0, klIn = 'loss', turnDiscount } = options;
  const { advantage } = definition;
  const isTakenOff = klIn === 'reward' && klCoefficient > 0 && !costsTokens;
  const shape = shapeRewards(options.shaping ?? {});
  return defineAlgorithm({
    ...definition,
    advantage: turnDiscount === undefined ? advantage : turnCredit(advantage, turnDiscount),
    shape: isTakenOff ? (episodes) => lessDivergence(shape(episodes), episodes, options) : shape,
    loss: policyLoss(surrogate, mean ?? meanOf(options, normalization), options),
    needsReference: needsReference || klCoefficient > 0,
  });
}

function lessDivergence(
  rewards: readonly number[],
  episodes: readonly Episode[],
  options: PolicyOptions,
): number[] {
  return rewards.map((reward, i) =>
    tokenCosts(episodes[i]!, options).reduce((sum, cost) => sum + cost, reward),
  );
}

/** Cost of each token for its divergence from the reference; zeros unless that is in the reward. Shapes: [T]. */
export function tokenCosts(episode: Episode, options: PolicyLossOptions): number[] {
  const { klCoefficient = 0, klIn = 'loss', klEstimator = 'k3', klClamp } = options;
  const isCost = klIn === 'reward' && klCoefficient > 0;
  const estimate: DivergenceOptions = { estimator: klEstimator, clamp: klClamp };
  return isCost ? divergenceCosts(episode, klCoefficient, estimate) : Array.from(episode.mask, () => 0);
}

function meanOf({ normalization, normalizationTokens }: PolicyOptions, fallback: Normalization): BatchMean {
  switch (normalization ?? fallback) {
    case 'token':
      return tokenMean;
    case 'sequence':
      return sequenceMean;
    case 'rollout':
      return rolloutMean;
    case 'constant':
      if (normalizationTokens !== undefined) return constantMean(normalizationTokens);
      throw new ForgeError(
        'CONFIG_INVALID',
        "algorithm.normalizationTokens: missing, expected a number for normalization 'constant'; a run takes sampling.maxTokens",
        { field: 'algorithm.normalizationTokens' },
      );
  }
}
