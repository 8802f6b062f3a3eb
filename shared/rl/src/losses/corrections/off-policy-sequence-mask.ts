import { cast, greater, less, logicalAnd, stopGradient, sub } from '@forge/graph';
import type { LossTerms } from '../loss';
import { meanOfSequence } from '../sequence-values';
import type { Correction } from './correction';

export interface OffPolicySequenceMaskOptions {
  /** Largest mean of log(behaviour / policy) over a sequence's tokens, in nats. */
  threshold: number;
}

/**
 * Leaves out the sequences with a negative advantage that the policy has moved away from already: their mean of
 * log(behaviour / policy) is above the threshold.
 *
 * @see DeepSeek-AI, "DeepSeek-V3.2" (2025), off-policy sequence masking; threshold 0.5 as TRL suggests, slime has 1e-4
 */
export function offPolicySequenceMask(
  { logprobs, behaviour, advantages, mask }: LossTerms,
  { threshold }: OffPolicySequenceMaskOptions,
): Correction {
  const distance = meanOfSequence(stopGradient(sub(behaviour, logprobs)), mask);
  const isBad = less(meanOfSequence(advantages, mask), 0);
  const masked = cast(logicalAnd(isBad, greater(distance, threshold)), 'float32');
  return { weight: sub(1, masked), masked };
}
