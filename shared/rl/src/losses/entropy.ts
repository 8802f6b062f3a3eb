import {
  add,
  cast,
  clip,
  div,
  greaterOrEqual,
  less,
  mul,
  reduceMax,
  stopGradient,
  sub,
  sum,
  where,
  type Tensor,
} from '@forge/graph';
import type { LossTerms } from './loss';
import { meanOfSequence } from './sequence-values';

export interface EntropyBonus {
  /** Weight of the entropy in the objective. */
  bonus: number;
  /**
   * Entropy, in nats per token, from which on a sequence gets no bonus; below, the weight rises linearly to `bonus` at
   * entropy 0. Left out: the weight is `bonus` everywhere.
   */
  target?: number | undefined;
}

/**
 * The entropy bonus of each token, to be maximised.
 *
 * Shapes: [B, T] -> [B, T].
 * @see the adaptive coefficient of He et al., "Skywork Open Reasoner 1" (2025), which moves by a constant from step to
 *   step towards a target, where this one is proportional to the distance from it, and so has no state
 */
export function entropyBonus(
  { entropy, mask }: Pick<LossTerms, 'entropy' | 'mask'>,
  { bonus, target }: EntropyBonus,
): Tensor {
  if (target === undefined) return mul(entropy, bonus);
  const share = clip(sub(1, div(meanOfSequence(entropy, mask), target)), 0, 1);
  return mul(entropy, stopGradient(mul(share, bonus)));
}

/** Halvings of the interval that holds the threshold: enough for float32. */
const BISECTIONS = 24;

/**
 * 1 for the `share` of each sequence's chosen tokens whose distribution has the highest entropy, 0 for the others. Ties at
 * the threshold stay in.
 *
 * Shapes: [B, T] -> [B, T]; no gradient.
 * @see Wang et al., "Beyond the 80/20 Rule" (2025), with the quantile of a whole batch, which depends on what else is in it
 */
export function highEntropyMask(
  { entropy, mask }: Pick<LossTerms, 'entropy' | 'mask'>,
  share: number,
): Tensor {
  const wanted = mul(sum(mask, [1], { keepDims: true }), share);
  const values = stopGradient(where(greaterOrEqual(mask, 0.5), entropy, -1));
  // At `low` too many tokens are in or as many as wanted, above `high` too few.
  let low = mul(reduceMax(values, [1], { keepDims: true }), 0);
  let high = reduceMax(values, [1], { keepDims: true });
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = mul(add(low, high), 0.5);
    const inside = sum(cast(greaterOrEqual(values, middle), 'float32'), [1], { keepDims: true });
    const isTooHigh = less(inside, wanted);
    [low, high] = [where(isTooHigh, low, middle), where(isTooHigh, middle, high)];
  }
  return stopGradient(cast(greaterOrEqual(values, low), 'float32'));
}
