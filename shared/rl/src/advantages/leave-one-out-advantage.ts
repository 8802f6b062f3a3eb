import { areEqual, meanOf } from './statistics';

/**
 * The distance of each reward from the mean of the others: n / (n - 1) times that from the mean of all.
 *
 * Edge: a group of one has no others -> 0, as in SkyRL and verl's vectorised form; its loop keeps the reward.
 * @see Ahmadian et al., "Back to Basics: Revisiting REINFORCE Style Optimization" (RLOO, 2024), equation 8
 */
export function leaveOneOutAdvantage(rewards: readonly number[]): number[] {
  const count = rewards.length;
  if (areEqual(rewards)) return rewards.map(() => 0);
  const mean = meanOf(rewards);
  return rewards.map((reward) => (count / (count - 1)) * (reward - mean));
}
