/*
 * torchforge's ReinforceLoss, exactly. Differs from REINFORCE (Williams, 1992): each token is weighted by its ratio to
 * the policy that generated it, clipped to [0.1, 10] and without gradient; the baseline is the mean of the group; the
 * mean is over all tokens of the batch.
 */
import { mul, neg } from '@forge/graph';
import { groupRelativeAdvantage } from '../advantages/group-relative-advantage';
import { tokenMean } from '../losses/batch-mean';
import { clippedImportanceWeight } from '../losses/importance-ratio';
import type { Loss } from '../losses/loss';
import { defineAlgorithm, type Algorithm } from './algorithm';

export const reinforceLoss: Loss = (terms) => {
  const { logprobs, behaviour, advantages } = terms;
  const weight = clippedImportanceWeight(logprobs, behaviour, { low: 0.1, high: 10 });
  return tokenMean(mul(neg(logprobs), mul(advantages, weight)), terms);
};

export interface ReinforceOptions {
  /** Divide the advantage by the standard deviation of the group. */
  normalizeByStd?: boolean | undefined;
}

export function reinforce({ normalizeByStd = true }: ReinforceOptions = {}): Algorithm {
  return defineAlgorithm({
    name: 'reinforce',
    advantage: groupRelativeAdvantage({ normalizeByStd }),
    loss: reinforceLoss,
  });
}
