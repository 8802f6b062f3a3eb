import { neg } from '@forge/graph';
import { clippedSurrogate } from './clipped-surrogate';
import { importanceRatio } from './importance-ratio';
import type { Surrogate } from './policy-loss';

export interface ClipOptions {
  /** The ratio counts within [1 - clipEpsilon, 1 + clipEpsilonHigh]. */
  clipEpsilon?: number | undefined;
  /** Left out: clipEpsilon. */
  clipEpsilonHigh?: number | undefined;
  /** A token with a negative advantage counts at most as so many times it; above 1. Left out: no such bound. */
  dualClip?: number | undefined;
}

/** PPO's loss of each token, and the share of tokens that its bounds cut. */
export function clippedRatio({
  clipEpsilon = 0.2,
  clipEpsilonHigh = clipEpsilon,
  dualClip,
}: ClipOptions): Surrogate {
  const range = { low: clipEpsilon, high: clipEpsilonHigh, dual: dualClip };
  return ({ logprobs, advantages }, anchor) => {
    const { surrogate, clipped } = clippedSurrogate(importanceRatio(logprobs, anchor), advantages, range);
    return { perToken: neg(surrogate), metrics: { clip_fraction: clipped } };
  };
}
