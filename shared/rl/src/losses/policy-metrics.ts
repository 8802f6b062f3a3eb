import { mul, type Tensor } from '@forge/graph';
import { tokenMean } from './batch-mean';
import { importanceRatio } from './importance-ratio';
import { k3 } from './k3';
import type { LossTerms } from './loss';

/**
 * The metrics every algorithm shows of a batch, as token means that add up over micro-batches: `entropy`; `kl_behaviour`,
 * KL(behaviour || policy) by k3 from the behaviour's own tokens; `kl_reference`, KL(policy || reference) by k3; and the
 * first two moments of the importance ratio, which `finishMetrics` turns into the effective sample size.
 */
export function policyMetrics(
  terms: LossTerms,
  { needsReference }: { needsReference: boolean },
): Record<string, Tensor> {
  const { logprobs, behaviour, reference, entropy } = terms;
  const ratio = importanceRatio(logprobs, behaviour);
  return {
    entropy: tokenMean(entropy, terms),
    kl_behaviour: tokenMean(k3(behaviour, logprobs), terms),
    ...(needsReference && { kl_reference: tokenMean(k3(logprobs, reference), terms) }),
    importance_ratio: tokenMean(ratio, terms),
    importance_ratio_square: tokenMean(mul(ratio, ratio), terms),
  };
}

/**
 * The metrics of a batch from the sums over its micro-batches: `importance_ratio_square` gives way to
 * `effective_sample_size`, the share (sum w)^2 / (n sum w^2) of the tokens that the weights leave, 1 when on-policy.
 */
export function finishMetrics(sums: Readonly<Record<string, number>>): Record<string, number> {
  const { importance_ratio_square: square, ...metrics } = sums;
  const mean = metrics['importance_ratio'];
  if (mean === undefined || square === undefined) return { ...sums };
  return { ...metrics, effective_sample_size: square > 0 ? (mean * mean) / square : 1 };
}
