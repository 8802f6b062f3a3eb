import type { Tensor } from './graph';
import { add, div, mul, sqrt, sub } from './elementwise';

/** A parameter and what an update needs of it, all of one shape. */
export interface AdamWTensors {
  parameter: Tensor;
  gradient: Tensor;
  first: Tensor;
  second: Tensor;
}

/** Scalars of one update, float32 []. */
export interface AdamWScalars {
  /** Multiplies the gradient first. */
  scale: Tensor;
  /** Learning rate / (1 - beta1^step). */
  rate: Tensor;
  /** 1 / sqrt(1 - beta2^step). */
  correction: Tensor;
  /** 1 - learning rate * weight decay. */
  keep: Tensor;
}

/**
 * One update of AdamW: the new parameter and moments.
 *
 * @see Loshchilov and Hutter 2019, algorithm 2; torch.optim.AdamW
 */
export function adamW(
  { parameter, gradient, first, second }: AdamWTensors,
  { scale, rate, correction, keep }: AdamWScalars,
  { betas: [beta1, beta2], epsilon }: { betas: readonly [number, number]; epsilon: number },
): Omit<AdamWTensors, 'gradient'> {
  const g = mul(gradient, scale);
  const m = add(mul(first, beta1), mul(g, 1 - beta1));
  const v = add(mul(second, beta2), mul(mul(g, g), 1 - beta2));
  const step = div(mul(m, rate), add(mul(sqrt(v), correction), epsilon));
  return { parameter: sub(mul(parameter, keep), step), first: m, second: v };
}
