export interface LengthPenalty {
  /** Loss of a group's longest answer against its shortest. */
  weight: number;
  /** Reward from which on an answer is right. */
  rightFrom?: number | undefined;
}

/**
 * Addition to the rewards of a group for length: from `weight / 2` for its shortest episode to `-weight / 2` for its longest; a
 * wrong one gets no bonus, so that a short wrong answer isn't worth writing.
 *
 * Shapes: rewards, tokens [G] -> [G].
 * Edge:   episodes of one length -> zeros.
 * @see Kimi team, "Kimi k1.5" (2025), 2.3.3
 */
export function lengthPenalty(
  rewards: readonly number[],
  tokens: readonly number[],
  { weight, rightFrom = 1 }: LengthPenalty,
): number[] {
  const [shortest, longest] = [Math.min(...tokens), Math.max(...tokens)];
  if (shortest === longest) return rewards.map(() => 0);
  return rewards.map((reward, i) => {
    const bonus = weight * (0.5 - (tokens[i]! - shortest) / (longest - shortest));
    return reward >= rightFrom ? bonus : Math.min(0, bonus);
  });
}
