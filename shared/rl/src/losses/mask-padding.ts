import { greater, reshape, where, type Tensor } from '@forge/graph';
import type { LossTerms, TopLogprobs } from './loss';

/** The terms that are unknown where the mask is 0. */
const PER_TOKEN = [
  'logprobs',
  'behaviour',
  'old',
  'reference',
  'advantages',
  'lag',
  'values',
  'oldValues',
  'returns',
  'entropy',
] as const satisfies readonly (keyof LossTerms)[];

/**
 * The terms with zeros wherever the mask is 0.
 *
 * Behaviour and reference log-probs are unknown there; exp of a difference with them could overflow, and the
 * gradient of an overflow is NaN even when it is multiplied by a mask of 0.
 */
export function maskPadding(terms: LossTerms): LossTerms {
  const chosen = greater(terms.mask, 0);
  const masked = PER_TOKEN.map((name) => [name, where(chosen, terms[name], 0)]);
  return {
    ...terms,
    ...(Object.fromEntries(masked) as Pick<LossTerms, (typeof PER_TOKEN)[number]>),
    top: terms.top && maskedTop(terms.top, chosen),
  };
}

function maskedTop({ policy, reference }: TopLogprobs, chosen: Tensor): TopLogprobs {
  const wide = reshape(chosen, [...chosen.shape, 1]);
  return { policy: where(wide, policy, 0), reference: where(wide, reference, 0) };
}
