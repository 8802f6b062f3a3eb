import { areEqual, deviation, meanOf } from './statistics';

export interface BestOfGroupOptions {
  /** Divide by the (unbiased) standard deviation of the group. */
  normalizeByStd?: boolean | undefined;
  stdEpsilon?: number | undefined;
}

/**
 * The share of the best episode in its group's reward, the largest of all: its distance to the second; the others
 * add nothing.
 *
 * Edge: a group of one, or one whose best is not alone -> zeros.
 * @see verl's `grpo_passk`, after Tang et al., "Optimizing Language Models for Inference Time Objectives using
 *   Reinforcement Learning" (2025)
 */
export function bestOfGroupAdvantage(
  options: BestOfGroupOptions = {},
): (rewards: readonly number[]) => number[] {
  const { normalizeByStd = true, stdEpsilon = 1e-6 } = options;
  return (rewards) => {
    if (areEqual(rewards)) return rewards.map(() => 0);
    const [best, second] = [...rewards].sort((a, b) => b - a) as [number, number];
    const mean = meanOf(rewards);
    const squares = rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
    const scale = normalizeByStd ? deviation(squares, rewards.length, 'unbiased') + stdEpsilon : 1;
    return rewards.map((reward) => (reward === best ? (best - second) / scale : 0));
  };
}
