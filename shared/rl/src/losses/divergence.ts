import { add, clip, exp, greater, mul, stopGradient, sub, where, type Tensor } from '@forge/graph';

export type DivergenceEstimator = 'k1' | 'k2' | 'k3' | 'k3+';

export interface DivergenceOptions {
  estimator: DivergenceEstimator;
  /** Estimates are limited to [-clamp, clamp], beyond which no gradient flows; left out: no limit. */
  clamp?: number | undefined;
}

/** Log-ratios beyond it overflow a float32 soon; verl's bound. */
const LARGEST_LOG_RATIO = 20;

/**
 * Per-token estimate of KL(policy || other) from tokens drawn from the policy, with d = log policy - log other:
 * k1 = d; k2 = d^2 / 2; k3 = e^-d + d - 1; k3+ has the value of k3 and the gradient of k2, which is that of the divergence.
 * In k3, -d counts up to 20, above which verl cuts it off, too.
 *
 * Shapes: both [B, T] -> [B, T].
 * @see Schulman, "Approximating KL Divergence" (2020); for k3+ the `kl_penalty` of verl
 */
export function divergence(logprobs: Tensor, other: Tensor, { estimator, clamp }: DivergenceOptions): Tensor {
  const estimate = estimateOf(estimator, logprobs, other);
  return clamp === undefined ? estimate : clip(estimate, -clamp, clamp);
}

function estimateOf(estimator: DivergenceEstimator, logprobs: Tensor, other: Tensor): Tensor {
  const logRatio = sub(logprobs, other);
  const k2 = (): Tensor => mul(mul(logRatio, logRatio), 0.5);
  const k3 = (): Tensor => {
    const down = sub(other, logprobs);
    // NaN stays NaN, which a minimum would hide on some engines.
    const limited = where(greater(down, LARGEST_LOG_RATIO), LARGEST_LOG_RATIO, down);
    return sub(sub(exp(limited), limited), 1);
  };
  switch (estimator) {
    case 'k1':
      return logRatio;
    case 'k2':
      return k2();
    case 'k3':
      return k3();
    case 'k3+':
      return add(sub(k2(), stopGradient(k2())), stopGradient(k3()));
  }
}

/** The same in numbers, for one token. */
export function divergenceOf(
  logprob: number,
  other: number,
  { estimator, clamp = Infinity }: DivergenceOptions,
): number {
  const logRatio = logprob - other;
  const limited = Math.min(-logRatio, LARGEST_LOG_RATIO);
  const estimates = { k1: logRatio, k2: logRatio ** 2 / 2, k3: Math.exp(limited) - limited - 1 };
  const estimate = estimates[estimator === 'k3+' ? 'k3' : estimator];
  return Math.min(Math.max(estimate, -clamp), clamp);
}
