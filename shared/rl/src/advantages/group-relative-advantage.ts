/** Added to the standard deviation by torchforge, so that a nearly uniform group is not blown up. */
const STD_EPSILON = 1e-4;

/**
 * The distance of each episode's reward from the mean of its group; with `normalizeByStd` in units of the group's unbiased
 * standard deviation (+ 1e-4).
 *
 * Edge: a group of one, or of equal rewards -> all zeros, exactly.
 * @see Shao et al., "DeepSeekMath" (2024), 4.1.2; without the deviation Liu et al., "Understanding R1-Zero-Like
 *   Training" (Dr. GRPO, 2025); constants as torchforge's ComputeAdvantages
 */
export function groupRelativeAdvantage({
  normalizeByStd,
}: {
  normalizeByStd: boolean;
}): (rewards: readonly number[]) => number[] {
  return (rewards) => {
    if (rewards.every((reward) => reward === rewards[0])) return rewards.map(() => 0);
    const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
    const centered = rewards.map((reward) => reward - mean);
    if (!normalizeByStd) return centered;
    const variance = centered.reduce((sum, c) => sum + c * c, 0) / (rewards.length - 1);
    return centered.map((c) => c / (Math.sqrt(variance) + STD_EPSILON));
  };
}
