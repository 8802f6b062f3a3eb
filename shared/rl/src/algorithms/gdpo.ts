/*
 * GDPO (Liu et al., "Group reward-Decoupled Normalization Policy Optimization", 2026): for several rewards, each normalised within
 * its group before they are added up, then whitened over the batch. Differs from the paper:
 * - lengths are shaped after the rewards are normalised, in the same units: an overlong answer loses a standard deviation;
 * - the weights of the rewards are those of the recipe unless `weights` says others.
 */
import { whiten, type WhitenOptions } from '../advantages/whiten';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { RewardWeights } from '../shaping/component-rewards';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface GdpoOptions extends ClipOptions, PolicyOptions, WhitenOptions {
  weights?: RewardWeights | undefined;
}

export function gdpo(options: GdpoOptions = {}): Algorithm {
  const shaping = { ...options.shaping, normalizeComponents: true, weights: options.weights };
  return policyAlgorithm(
    { ...options, shaping },
    {
      name: 'gdpo',
      advantage: (rewards) => [...rewards],
      acrossBatch: whiten(options),
      surrogate: clippedRatio(options),
      normalization: 'token',
    },
  );
}
