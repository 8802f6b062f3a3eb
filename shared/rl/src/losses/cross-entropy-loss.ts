import { add, mul, neg } from '@forge/graph';
import { tokenMean, type BatchMean } from './batch-mean';
import { lossResult, type Loss } from './loss';

/**
 * The cross-entropy of the given tokens, as in supervised fine-tuning: advantages and behaviour play no part.
 *
 * Shapes: a mean of -log-probs over the tokens with mask 1.
 */
export function crossEntropyLoss(mean: BatchMean = tokenMean): Loss {
  return (terms) => mean(neg(terms.logprobs), terms);
}

/** `loss` plus `share` times `other`: supervised learning mixed into reinforcement learning, say. Metrics of both are shown. */
export function mixedLoss(loss: Loss, other: Loss, share: number): Loss {
  return (terms) => {
    const [first, second] = [lossResult(loss(terms)), lossResult(other(terms))];
    return {
      loss: add(first.loss, mul(second.loss, share)),
      metrics: { ...second.metrics, ...first.metrics },
    };
  };
}
