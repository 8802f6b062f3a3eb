/*
 * LUSPO ("Length-Unbiased Sequence Policy Optimization", 2026): GSPO with each sequence's loss times its length, which takes the
 * preference for short answers away. Differs from the paper:
 * - the ratio is to the behaviour policy unless a correction weighs for it, as in our GSPO.
 */
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { constantMean } from '../losses/batch-mean';
import type { ClipOptions } from '../losses/clipped-ratio';
import { clippedSequenceRatio } from '../losses/sequence-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type LuspoOptions = ClipOptions &
  Omit<PolicyOptions, 'normalization' | 'normalizationTokens'> &
  GroupRelativeOptions;

export function luspo(options: LuspoOptions = {}): Algorithm {
  const { clipEpsilon = 2e-3, clipEpsilonHigh = 2.5e-3, dualClip } = options;
  return policyAlgorithm(options, {
    name: 'luspo',
    advantage: groupRelativeAdvantage(options),
    surrogate: clippedSequenceRatio({ clipEpsilon, clipEpsilonHigh, dualClip }),
    normalization: 'sequence',
    // The sum over a sequence's tokens, which is its length times their mean, over the number of sequences.
    mean: constantMean(1),
  });
}
