import { mul, sub } from '@forge/graph';
import type { LossTerms } from '../loss';
import type { Correction } from './correction';
import { logMismatch, ratioOf } from './mismatch';
import { isWithin, type RatioBounds } from './sequence-masks';

/**
 * Weights old / behaviour where that is within the bounds, and leaves out the tokens where it is not.
 *
 * @see Ling team, "Small Leak Can Sink a Great Ship: Boost RL Training on MoE with IcePop" (2025), bounds 0.5 and 5
 */
export function icePop(terms: LossTerms, bounds: RatioBounds): Correction {
  const ratio = ratioOf(logMismatch(terms));
  const kept = isWithin(ratio, bounds);
  return { weight: mul(ratio, kept), masked: sub(1, kept) };
}
