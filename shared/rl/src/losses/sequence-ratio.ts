import { exp, neg, stopGradient, mul, sub } from '@forge/graph';
import { clippedSurrogate } from './clipped-surrogate';
import type { ClipOptions } from './clipped-ratio';
import { onPolicyRatio } from './importance-ratio';
import type { Surrogate } from './policy-loss';
import { meanOfSequence } from './sequence-values';

/**
 * PPO's loss of each token with the ratio of its whole sequence: the geometric mean over the tokens, which every token has in
 * value while the gradient of each is its own.
 *
 * @see Zheng et al., "Group Sequence Policy Optimization" (2025), equations 7 and 14 (GSPO-token)
 */
export function clippedSequenceRatio({
  clipEpsilon = 3e-4,
  clipEpsilonHigh = clipEpsilon,
  dualClip,
}: ClipOptions): Surrogate {
  const range = { low: clipEpsilon, high: clipEpsilonHigh, dual: dualClip };
  return ({ logprobs, advantages, mask }, anchor) => {
    const ofSequence = stopGradient(exp(meanOfSequence(sub(logprobs, anchor), mask)));
    const ratio = mul(ofSequence, onPolicyRatio(logprobs));
    const { surrogate, clipped } = clippedSurrogate(ratio, advantages, range);
    return { perToken: neg(surrogate), metrics: { clip_fraction: clipped } };
  };
}
