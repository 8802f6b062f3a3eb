import type { Sample } from '@forge/contracts';
import { mix } from '../tasks/seeded-hash';

/** Facts that tools and environments know about the rollout they serve. */
export interface RolloutScope {
  readonly sample: Sample;
  /** Seed of `random`, for what draws by itself. */
  readonly seed: number;
  /**
   * The next number from 0 to below 1. The same in all rollouts of a group, which so differ by what the policy draws alone,
   * and when the rollout runs again.
   */
  readonly random: () => number;
  /** Aborted when nobody waits for the result any more. */
  readonly signal: AbortSignal;
}

/** Numbers from 0 to below 1 that follow from a seed. */
export function seededRandom(seed: number): () => number {
  let drawn = 0;
  return () => mix(mix(seed, 0x5eed), drawn++) / 2 ** 32;
}
