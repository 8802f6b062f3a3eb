/*
 * DAPO (Yu et al., 2025): clip-higher, the mean over all tokens, the soft punishment of overlong answers, and groups with
 * something to tell only. Differs from the paper:
 * - dynamic sampling draws `batch.oversample` times the groups, and more in place of uninformative ones as `batch.refill`
 *   allows, as many again unless given: bounded, where the paper draws until the batch is full;
 * - the buffer of the soft punishment is a fifth of the longest completion unless given, the paper's 4096 of 20480.
 */
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type DapoOptions = ClipOptions & PolicyOptions & GroupRelativeOptions;

export function dapo(options: DapoOptions = {}): Algorithm {
  const { clipEpsilon = 0.2, clipEpsilonHigh = 0.28, dualClip } = options;
  return policyAlgorithm(options, {
    name: 'dapo',
    advantage: groupRelativeAdvantage(options),
    surrogate: clippedRatio({ clipEpsilon, clipEpsilonHigh, dualClip }),
    normalization: 'token',
  });
}
