/*
 * MaxRL (Tajwar et al., "Maximum Likelihood Reinforcement Learning", 2026): GRPO with the group's mean in place of its standard
 * deviation, so that the gradient approaches that of maximum likelihood as groups grow. Differs from the paper:
 * - PPO's clipped loss, where the paper is on-policy.
 */
import { maxRlAdvantage } from '../advantages/max-rl-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type MaxRlOptions = ClipOptions & PolicyOptions;

export function maxrl(options: MaxRlOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'maxrl',
    advantage: maxRlAdvantage,
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
