import { greater, where } from '@forge/graph';
import type { LossTerms } from './loss';

/**
 * The terms with zeros wherever the mask is 0.
 *
 * Behaviour and reference log-probs are unknown there; exp of a difference with them could overflow, and the
 * gradient of an overflow is NaN even when it is multiplied by a mask of 0.
 */
export function maskPadding(terms: LossTerms): LossTerms {
  const chosen = greater(terms.mask, 0);
  return {
    ...terms,
    logprobs: where(chosen, terms.logprobs, 0),
    behaviour: where(chosen, terms.behaviour, 0),
    reference: where(chosen, terms.reference, 0),
    advantages: where(chosen, terms.advantages, 0),
    entropy: where(chosen, terms.entropy, 0),
  };
}
