/*
 * GSPO (Zheng et al., "Group Sequence Policy Optimization", 2025): the ratio is that of the whole sequence, since a reward is.
 * Differs from the paper:
 * - the ratio is to the behaviour policy unless a correction weighs for it, as in our GRPO; the bounds are narrow (3e-4 and
 *   4e-4), so that data of older versions is clipped nearly whole: widen them with maxStaleness.
 */
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import type { ClipOptions } from '../losses/clipped-ratio';
import { clippedSequenceRatio } from '../losses/sequence-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type GspoOptions = ClipOptions & PolicyOptions & GroupRelativeOptions;

export function gspo(options: GspoOptions = {}): Algorithm {
  const { clipEpsilon = 3e-4, clipEpsilonHigh = 4e-4, dualClip } = options;
  return policyAlgorithm(options, {
    name: 'gspo',
    advantage: groupRelativeAdvantage(options),
    surrogate: clippedSequenceRatio({ clipEpsilon, clipEpsilonHigh, dualClip }),
    normalization: 'sequence',
  });
}
