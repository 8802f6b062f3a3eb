import { areEqual } from './statistics';

/**
 * The distance of each reward from the mean that weighs episodes by their tokens: the baseline of least variance when the
 * gradients of tokens are alike and independent.
 *
 * Shapes: rewards, tokens [G] -> [G].
 * Edge:   equal rewards -> zeros, exactly.
 * @see Hao et al., "On-Policy RL with Optimal Reward Baseline" (OPO, 2025), equation 6
 */
export function lengthWeightedAdvantage(rewards: readonly number[], tokens: readonly number[]): number[] {
  if (areEqual(rewards)) return rewards.map(() => 0);
  const total = tokens.reduce((sum, length) => sum + length, 0);
  const baseline = rewards.reduce((sum, reward, i) => sum + tokens[i]! * reward, 0) / total;
  return rewards.map((reward) => reward - baseline);
}
