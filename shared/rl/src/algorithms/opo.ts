/*
 * OPO (Hao et al., "On-Policy RL with Optimal Reward Baseline", 2025): the baseline is the group's mean weighed by the lengths of
 * its answers. Differs from the paper:
 * - PPO's clipped loss, where the paper is strictly on-policy: at maxStaleness 0 with one update per batch ours is, too.
 */
import { lengthWeightedAdvantage } from '../advantages/length-weighted-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import { chosenTokens } from '../shaping/tokens';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type OpoOptions = ClipOptions & PolicyOptions;

export function opo(options: OpoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'opo',
    advantage: (rewards, episodes) => lengthWeightedAdvantage(rewards, episodes.map(chosenTokens)),
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
