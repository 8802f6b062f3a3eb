import { cast, clip, less, maximum, minimum, mul, type Tensor, where } from '@forge/graph';

/** Distances below and above 1 within which a ratio counts. */
export interface ClipRange {
  low: number;
  high: number;
  /** A token with a negative advantage counts at most as `dual` times it, however likely it became; above 1. */
  dual?: number | undefined;
}

/**
 * PPO's pessimistic objective, to maximise: no gain from moving the ratio out of [1 - low, 1 + high].
 *
 * Shapes: all [B, T]; `clipped` is 1 where the bound took effect and the token has no gradient.
 * @see Schulman et al., "Proximal Policy Optimization Algorithms" (2017), equation 7; low != high is clip-higher of
 *   Yu et al., "DAPO" (2025); `dual` of Ye et al., "Mastering Complex Control in MOBA Games" (2020), equation 5
 */
export function clippedSurrogate(
  ratio: Tensor,
  advantages: Tensor,
  { low, high, dual }: ClipRange,
): { surrogate: Tensor; clipped: Tensor } {
  const free = mul(ratio, advantages);
  const bounded = mul(clip(ratio, 1 - low, 1 + high), advantages);
  const pessimistic = minimum(free, bounded);
  const clipped = cast(less(bounded, free), 'float32');
  if (dual === undefined) return { surrogate: pessimistic, clipped };
  const floor = mul(advantages, dual);
  const isBelow = less(pessimistic, where(less(advantages, 0), floor, pessimistic));
  return {
    surrogate: where(isBelow, floor, pessimistic),
    clipped: maximum(clipped, cast(isBelow, 'float32')),
  };
}
