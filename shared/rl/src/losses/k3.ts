import { exp, sub, type Tensor } from '@forge/graph';

/**
 * Per-token estimate of KL(policy || other) from tokens drawn from the policy: r - log r - 1 with r = other/policy.
 * Unbiased, never negative, and of lower variance than -log r.
 *
 * Shapes: both [B, T] -> [B, T].
 * @see Schulman, "Approximating KL Divergence" (2020), estimator k3
 */
export function k3(logprobs: Tensor, other: Tensor): Tensor {
  const logRatio = sub(other, logprobs);
  return sub(sub(exp(logRatio), logRatio), 1);
}
