/*
 * RLOO (Ahmadian et al., "Back to Basics", 2024): each answer against the mean of the group's others. Differs from the paper:
 * - PPO's clipped loss by token, where the paper has REINFORCE with the ratio of whole sequences: ours forgives several
 *   updates per batch and old data, and is the same at the first update on fresh data;
 * - no KL in the reward unless asked for (klCoefficient, klIn: reward).
 */
import { leaveOneOutAdvantage } from '../advantages/leave-one-out-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type RlooOptions = ClipOptions & PolicyOptions;

export function rloo(options: RlooOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'rloo',
    advantage: leaveOneOutAdvantage,
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
