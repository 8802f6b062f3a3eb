/*
 * torchforge's ReinforceLoss, exactly. Differs from REINFORCE (Williams, 1992): each token is weighted by its ratio to
 * the policy that generated it, clipped to [0.1, 10] and without gradient; the baseline is the mean of the group; the
 * mean is over all tokens of the batch. A correction by importance weights takes the place of that ratio.
 */
import { mul, neg } from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { clippedImportanceWeight } from '../losses/importance-ratio';
import { policyLoss, type Surrogate } from '../losses/policy-loss';
import { tokenMean } from '../losses/batch-mean';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

/** The weight is to the anchor, which a correction makes the policy before the step: it is 1 then, or nearly. */
export const reinforceSurrogate: Surrogate = ({ logprobs, advantages }, anchor) => {
  const weight = clippedImportanceWeight(logprobs, anchor, { low: 0.1, high: 10 });
  return { perToken: mul(neg(logprobs), mul(advantages, weight)) };
};

export const reinforceLoss = policyLoss(reinforceSurrogate, tokenMean);

export type ReinforceOptions = PolicyOptions & GroupRelativeOptions;

export function reinforce(options: ReinforceOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'reinforce',
    advantage: groupRelativeAdvantage(options),
    surrogate: reinforceSurrogate,
    normalization: 'token',
  });
}
