import { clip, exp, minimum, stopGradient, sub, type Tensor } from '@forge/graph';

/**
 * The probability of each token under the policy over that under the one that drew it: pi / behaviour.
 *
 * Shapes: both [B, T] -> [B, T].
 */
export function importanceRatio(logprobs: Tensor, behaviour: Tensor): Tensor {
  return exp(sub(logprobs, behaviour));
}

/**
 * A ratio whose value is 1 and whose gradient is that of the log-probs: turns an objective in ratios into the
 * on-policy policy gradient.
 */
export function onPolicyRatio(logprobs: Tensor): Tensor {
  return importanceRatio(logprobs, stopGradient(logprobs));
}

/**
 * min(pi / behaviour, bound), as a weight without gradient.
 *
 * @see Ionides, "Truncated Importance Sampling" (2008); Yao et al., "Your Efficient RL Framework Secretly Brings You
 *   Off-Policy RL Training" (2025)
 */
export function truncatedImportanceWeight(logprobs: Tensor, behaviour: Tensor, bound: number): Tensor {
  return stopGradient(minimum(importanceRatio(logprobs, behaviour), bound));
}

/** clip(pi / behaviour, low, high), as a weight without gradient. */
export function clippedImportanceWeight(
  logprobs: Tensor,
  behaviour: Tensor,
  { low, high }: { low: number; high: number },
): Tensor {
  return stopGradient(clip(importanceRatio(logprobs, behaviour), low, high));
}
