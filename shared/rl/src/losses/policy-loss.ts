import { add, mul, sub, type Tensor } from '@forge/graph';
import { tokenMean, type BatchMean } from './batch-mean';
import { correct, isWeighting, type CorrectionOptions } from './corrections/correction';
import { divergence, type DivergenceEstimator } from './divergence';
import { entropyBonus, highEntropyMask, type EntropyBonus } from './entropy';
import { importanceRatio } from './importance-ratio';
import type { Loss, LossTerms } from './loss';

/** Regularisers and corrections, which go with every loss. */
export interface PolicyLossOptions {
  /**
   * The policy that ratios are to: the one that generated, or the trained one before the step. Left out: the latter where a
   * correction weighs by old / behaviour, since behaviour would count twice, and the former elsewhere.
   */
  ratioTo?: 'behaviour' | 'old' | undefined;
  /** For data of an older or differently computed policy; their weights multiply. */
  correction?: readonly CorrectionOptions[] | undefined;
  /** Weight of the divergence from the reference model; 0 needs no reference model. */
  klCoefficient?: number | undefined;
  klEstimator?: DivergenceEstimator | undefined;
  klClamp?: number | undefined;
  /** The divergence is a part of the loss, or taken off the rewards. */
  klIn?: 'loss' | 'reward' | undefined;
  /** Multiply the divergence of the loss by the ratio, so that its gradient is unbiased off-policy (DeepSeek-V3.2). */
  klWeighted?: boolean | undefined;
  entropy?: (EntropyBonus & { topShare?: number | undefined }) | undefined;
}

/** A loss per token, before weights, regularisers and means. Shapes: perToken and each of metrics [B, T]. */
export interface TokenLoss {
  perToken: Tensor;
  /** Values of which the mean over the batch's tokens is shown. */
  metrics?: Record<string, Tensor>;
}

/**
 * Heart of an algorithm's loss.
 *
 * Shapes: anchor [B, T], log-probs of the policy that ratios are to.
 */
export type Surrogate = (terms: LossTerms, anchor: Tensor) => TokenLoss;

/**
 * The loss made of a surrogate: weighed by the corrections, with regularisers added, averaged by `mean`.
 *
 * A token that is left out stays in the mean's denominator, as in AReaL and verl: the others weigh as they did. The share of
 * tokens a correction leaves out, or whose weight it cuts, is the metric `masked_` with its name.
 */
export function policyLoss(surrogate: Surrogate, mean: BatchMean, options: PolicyLossOptions = {}): Loss {
  const { correction = [], ratioTo = correction.some(isWeighting) ? 'old' : 'behaviour' } = options;
  return (terms) => {
    const anchor = ratioTo === 'old' ? terms.old : terms.behaviour;
    const { perToken, metrics = {} } = surrogate(terms, anchor);
    const shown = { ...metrics };
    let loss = perToken;
    for (const one of correction) {
      const { weight, masked } = correct(terms, one);
      loss = mul(loss, weight);
      shown[`masked_${one.name.replaceAll('-', '_')}`] = masked;
    }
    loss = withRegularizers(loss, terms, options);
    return {
      loss: mean(loss, terms),
      metrics: Object.fromEntries(
        Object.entries(shown).map(([name, value]) => [name, tokenMean(value, terms)]),
      ),
    };
  };
}

function withRegularizers(perToken: Tensor, terms: LossTerms, options: PolicyLossOptions): Tensor {
  const { klCoefficient = 0, klEstimator: estimator = 'k3', klClamp: clamp, klIn = 'loss' } = options;
  const { logprobs, behaviour, reference } = terms;
  const { bonus = 0, target, topShare } = options.entropy ?? {};
  let loss = perToken;
  if (topShare !== undefined) loss = mul(loss, highEntropyMask(terms, topShare));
  if (klCoefficient > 0 && klIn === 'loss') {
    let penalty = divergence(logprobs, reference, { estimator, clamp });
    if (options.klWeighted === true) penalty = mul(penalty, importanceRatio(logprobs, behaviour));
    loss = add(loss, mul(penalty, klCoefficient));
  }
  return bonus > 0 ? sub(loss, entropyBonus(terms, { bonus, target })) : loss;
}
