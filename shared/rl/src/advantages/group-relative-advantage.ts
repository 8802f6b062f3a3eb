import { areEqual, deviation, meanOf, type VarianceEstimator } from './statistics';

export interface GroupRelativeOptions {
  /** Divide by the standard deviation of the group. */
  normalizeByStd?: boolean | undefined;
  /** Added to the deviation, so that a nearly uniform group is not blown up: 1e-4 as torchforge and TRL; verl has 1e-6. */
  stdEpsilon?: number | undefined;
  stdEstimator?: VarianceEstimator | undefined;
}

/**
 * The distance of each episode's reward from the mean of its group; with `normalizeByStd` in units of the group's standard
 * deviation (+ `stdEpsilon`), the unbiased one by default.
 *
 * Edge: a group of one, or of equal rewards -> all zeros, exactly.
 * @see Shao et al., "DeepSeekMath" (2024), 4.1.2; without the deviation Liu et al., "Understanding R1-Zero-Like
 *   Training" (Dr. GRPO, 2025); constants as torchforge's ComputeAdvantages
 */
export function groupRelativeAdvantage(
  options: GroupRelativeOptions = {},
): (rewards: readonly number[]) => number[] {
  const { normalizeByStd = true, stdEpsilon = 1e-4, stdEstimator = 'unbiased' } = options;
  return (rewards) => {
    if (areEqual(rewards)) return rewards.map(() => 0);
    const mean = meanOf(rewards);
    const centered = rewards.map((reward) => reward - mean);
    if (!normalizeByStd) return centered;
    const squares = centered.reduce((sum, c) => sum + c * c, 0);
    const std = deviation(squares, rewards.length, stdEstimator) + stdEpsilon;
    return centered.map((c) => c / std);
  };
}
