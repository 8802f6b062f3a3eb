import { div, maximum, mul, sum, type Tensor } from '@forge/graph';
import type { LossTerms } from './loss';

/**
 * This micro-batch's part of the mean over all chosen tokens of the batch: every token weighs the same.
 *
 * Shapes: x [B, T] -> [].
 */
export function tokenMean(x: Tensor, { mask, tokenCount }: Pick<LossTerms, 'mask' | 'tokenCount'>): Tensor {
  return div(sum(mul(x, mask), [0, 1]), maximum(tokenCount, 1));
}

/**
 * This micro-batch's part of the mean over all sequences of the batch of the mean within each: every sequence
 * weighs the same, so a token of a long one weighs less.
 *
 * Shapes: x [B, T] -> [].
 * Edge:   a sequence without a chosen token counts as 0.
 */
export function sequenceMean(
  x: Tensor,
  { mask, sequenceCount }: Pick<LossTerms, 'mask' | 'sequenceCount'>,
): Tensor {
  const perSequence = div(sum(mul(x, mask), [1]), maximum(sum(mask, [1]), 1));
  return div(sum(perSequence, [0]), maximum(sequenceCount, 1));
}

/**
 * This micro-batch's part of the mean over all rollouts of the batch of the mean over each one's tokens: a rollout weighs the same
 * in however many parts it came. `sequenceMean` where each is one.
 *
 * Shapes: x [B, T] -> [].
 * @see `per_rollout_mean` of Agent Lightning, which has the mean over a rollout's parts and tokens, too
 */
export function rolloutMean(
  x: Tensor,
  { mask, rolloutTokens, rolloutCount }: Pick<LossTerms, 'mask' | 'rolloutTokens' | 'rolloutCount'>,
): Tensor {
  const shares = div(sum(mul(x, mask), [1]), maximum(rolloutTokens, 1));
  return div(sum(shares, [0]), maximum(rolloutCount, 1));
}

/**
 * This micro-batch's part of the sum over all chosen tokens of the batch, over as many as its sequences could have: what a
 * token weighs depends on the length of none.
 *
 * Shapes: x [B, T] -> [].
 * @see Liu et al., "Understanding R1-Zero-Like Training" (Dr. GRPO, 2025), where `tokens` is the longest completion
 */
export function constantMean(tokens: number): BatchMean {
  return (x, { mask, sequenceCount }) =>
    div(sum(mul(x, mask), [0, 1]), mul(maximum(sequenceCount, 1), tokens));
}

/** A per-token value to this micro-batch's part of its mean over the batch. */
export type BatchMean = (
  x: Tensor,
  terms: Pick<LossTerms, 'mask' | 'tokenCount' | 'sequenceCount' | 'rolloutTokens' | 'rolloutCount'>,
) => Tensor;

export type Normalization = 'token' | 'sequence' | 'rollout' | 'constant';
