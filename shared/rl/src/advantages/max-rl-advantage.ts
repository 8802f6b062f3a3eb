import { ForgeError } from '@forge/errors';
import { areEqual, meanOf } from './statistics';

/** Added to the mean, as in the authors' code. */
const MEAN_EPSILON = 1e-6;

/**
 * The distance of each reward from the mean of its group over that mean: the rarer a success, the more it counts.
 *
 * Edge: equal rewards -> zeros.
 * @throws {ForgeError} NUMERIC_LIMIT_EXCEEDED when the mean is not positive and rewards differ: some are negative then.
 * @see Tajwar et al., "Maximum Likelihood Reinforcement Learning" (MaxRL, 2026)
 */
export function maxRlAdvantage(rewards: readonly number[]): number[] {
  if (areEqual(rewards)) return rewards.map(() => 0);
  const mean = meanOf(rewards);
  if (mean > 0) return rewards.map((reward) => (reward - mean) / (mean + MEAN_EPSILON));
  throw new ForgeError(
    'NUMERIC_LIMIT_EXCEEDED',
    `maxrl: the mean reward of a group is ${mean}, expected > 0; it takes rewards from 0 to 1, such as exact gives`,
    { mean },
  );
}
