import { cast, greater, minimum } from '@forge/graph';
import type { LossTerms } from '../loss';
import { sequenceSum } from '../sequence-values';
import type { Correction } from './correction';
import { logMismatch, ratioOf } from './mismatch';

export interface TruncationOptions {
  /** A weight per token, or one per sequence: the product over its tokens. */
  level: 'token' | 'sequence';
  /** Largest weight. */
  bound: number;
}

/**
 * Weights min(old / behaviour, bound). At the level of tokens biased and of low variance, at that of sequences the reverse.
 *
 * @see Ionides, "Truncated Importance Sampling" (2008); Yao et al., "Your Efficient RL Framework Secretly Brings You
 *   Off-Policy RL Training" (2025); bound 2 as slime, verl and SkyRL have it
 */
export function truncatedImportanceSampling(
  terms: LossTerms,
  { level, bound }: TruncationOptions,
): Correction {
  const perToken = logMismatch(terms);
  const ratio = ratioOf(level === 'token' ? perToken : sequenceSum(perToken, terms.mask));
  return { weight: minimum(ratio, bound), masked: cast(greater(ratio, bound), 'float32') };
}
