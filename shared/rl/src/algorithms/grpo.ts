/*
 * GRPO (Shao et al., "DeepSeekMath", 2024). Differs from the paper:
 * - the clipped ratio is to the behaviour policy, by the log-probs the generator recorded, since training data may be
 *   several versions old; each batch is one optimizer step;
 * - the loss is averaged over all tokens of the batch by default, as in DAPO; 'sequence' is the paper's mean of means;
 * - 1e-4 is added to the (unbiased) standard deviation, which can be left out as in Dr. GRPO;
 * - the upper clip bound may be wider than the lower (DAPO's clip-higher);
 * - no KL penalty unless asked for.
 */
import { add, mul, neg, stopGradient } from '@forge/graph';
import { groupRelativeAdvantage } from '../advantages/group-relative-advantage';
import { sequenceMean, tokenMean } from '../losses/batch-mean';
import { clippedSurrogate } from '../losses/clipped-surrogate';
import { importanceRatio, truncatedImportanceWeight } from '../losses/importance-ratio';
import { k3 } from '../losses/k3';
import type { Loss } from '../losses/loss';
import { defineAlgorithm, type Algorithm } from './algorithm';
import { simpleGrpoLoss } from './simple-grpo';

export interface GrpoLossOptions {
  /** The ratio counts within [1 - clipEpsilon, 1 + clipEpsilonHigh]. */
  clipEpsilon?: number | undefined;
  /** Left out: clipEpsilon. */
  clipEpsilonHigh?: number | undefined;
  /** Weight of the k3 divergence from the reference model; 0 needs no reference model. */
  klCoefficient?: number | undefined;
  normalization?: 'token' | 'sequence' | undefined;
  /**
   * Upper bound C of an importance weight min(pi / behaviour, C). The ratio is then to the policy before the step, as in
   * decoupled PPO: it is 1, so that staleness is corrected by the weight and no token is clipped.
   */
  truncatedImportanceSampling?: number | undefined;
}

export interface GrpoOptions extends GrpoLossOptions {
  /** Divide the advantage by the standard deviation of the group. */
  normalizeByStd?: boolean | undefined;
  /** 'simple' is torchforge's SimpleGRPOLoss exactly; of the loss options it takes klCoefficient alone. */
  loss?: 'clipped' | 'simple' | undefined;
}

export function grpoLoss(options: GrpoLossOptions = {}): Loss {
  const { clipEpsilon = 0.2, clipEpsilonHigh = clipEpsilon, klCoefficient: beta = 0 } = options;
  const { normalization = 'token', truncatedImportanceSampling: bound } = options;
  const mean = normalization === 'token' ? tokenMean : sequenceMean;
  return (terms) => {
    const { logprobs, behaviour, reference, advantages } = terms;
    const old = bound === undefined ? behaviour : stopGradient(logprobs);
    const ratio = importanceRatio(logprobs, old);
    const { surrogate, clipped } = clippedSurrogate(ratio, advantages, {
      low: clipEpsilon,
      high: clipEpsilonHigh,
    });
    let perToken = neg(surrogate);
    if (bound !== undefined) perToken = mul(perToken, truncatedImportanceWeight(logprobs, behaviour, bound));
    if (beta > 0) perToken = add(perToken, mul(k3(logprobs, reference), beta));
    return { loss: mean(perToken, terms), metrics: { clip_fraction: tokenMean(clipped, terms) } };
  };
}

export function grpo(options: GrpoOptions = {}): Algorithm {
  const { normalizeByStd = true, loss = 'clipped', klCoefficient = 0 } = options;
  return defineAlgorithm({
    name: 'grpo',
    advantage: groupRelativeAdvantage({ normalizeByStd }),
    loss: loss === 'simple' ? simpleGrpoLoss({ klCoefficient }) : grpoLoss(options),
    needsReference: klCoefficient > 0,
  });
}
