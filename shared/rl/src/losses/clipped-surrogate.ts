import { cast, clip, less, minimum, mul, type Tensor } from '@forge/graph';

/** Distances below and above 1 within which a ratio counts. */
export interface ClipRange {
  low: number;
  high: number;
}

/**
 * PPO's pessimistic objective, to maximise: no gain from moving the ratio out of [1 - low, 1 + high].
 *
 * Shapes: all [B, T]; `clipped` is 1 where the bound took effect and the token has no gradient.
 * @see Schulman et al., "Proximal Policy Optimization Algorithms" (2017), equation 7; low != high is clip-higher of
 *   Yu et al., "DAPO" (2025)
 */
export function clippedSurrogate(
  ratio: Tensor,
  advantages: Tensor,
  { low, high }: ClipRange,
): { surrogate: Tensor; clipped: Tensor } {
  const free = mul(ratio, advantages);
  const bounded = mul(clip(ratio, 1 - low, 1 + high), advantages);
  return { surrogate: minimum(free, bounded), clipped: cast(less(bounded, free), 'float32') };
}
