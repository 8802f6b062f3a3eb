/*
 * REINFORCE++-baseline (Hu et al., 2025): the group's mean as the baseline, then whitened over the whole batch: GRPO with one
 * scale for all prompts. Differs from the paper:
 * - no k2 divergence in the loss unless asked for (klCoefficient, klEstimator: k2);
 * - whitened by the variance of the population, as in the authors' OpenRLHF; 'unbiased' is verl's.
 */
import { groupRelativeAdvantage } from '../advantages/group-relative-advantage';
import { whiten, type WhitenOptions } from '../advantages/whiten';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type ReinforcePlusPlusBaselineOptions = ClipOptions & PolicyOptions & WhitenOptions;

export function reinforcePlusPlusBaseline(options: ReinforcePlusPlusBaselineOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'reinforce++-baseline',
    advantage: groupRelativeAdvantage({ normalizeByStd: false }),
    acrossBatch: whiten(options),
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
