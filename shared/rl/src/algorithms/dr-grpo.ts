/*
 * Dr. GRPO (Liu et al., "Understanding R1-Zero-Like Training", 2025): GRPO without what biases it, the division by the
 * group's standard deviation, which favours prompts that are nearly solved or nearly hopeless, and that by an answer's
 * length, which favours long wrong answers. Differs from the paper:
 * - the clipped ratio is to the behaviour policy unless a correction weighs for it, as in our GRPO.
 */
import { groupRelativeAdvantage } from '../advantages/group-relative-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type DrGrpoOptions = ClipOptions & PolicyOptions;

export function drGrpo(options: DrGrpoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'dr-grpo',
    advantage: groupRelativeAdvantage({ normalizeByStd: false }),
    surrogate: clippedRatio(options),
    normalization: 'constant',
  });
}
