import type { Episode } from '@forge/contracts';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';

/** The weight of each reward function, by its name. */
export type RewardWeights = Readonly<Record<string, number>>;

/**
 * The weighted sum of every reward function's own group-relative advantage: none drowns another by its scale, and a group
 * whose sums are equal still tells its episodes apart.
 *
 * Shapes: episodes [G] -> [G]. A function without a weight has weight 1.
 * @see Liu et al., "GDPO: Group reward-Decoupled Normalization Policy Optimization" (2026), equations 4 and 5
 */
export function componentRewards(
  episodes: readonly Pick<Episode, 'rewards'>[],
  weights: RewardWeights = {},
  options: GroupRelativeOptions = {},
): number[] {
  const normalize = groupRelativeAdvantage(options);
  const names = [...new Set(episodes.flatMap(({ rewards }) => Object.keys(rewards)))];
  const parts = names.map((name) => ({
    weight: weights[name] ?? 1,
    values: normalize(episodes.map(({ rewards }) => rewards[name] ?? 0)),
  }));
  return episodes.map((_, i) => parts.reduce((sum, { weight, values }) => sum + weight * values[i]!, 0));
}
