import { div, maximum, mul, sum, type Tensor } from '@forge/graph';

/** The sum over the chosen tokens of each sequence. Shapes: x, mask [B, T] -> [B, 1]. */
export function sequenceSum(x: Tensor, mask: Tensor): Tensor {
  return sum(mul(x, mask), [1], { keepDims: true });
}

/** The mean over the chosen tokens of each sequence; 0 without any. Shapes: x, mask [B, T] -> [B, 1]. */
export function meanOfSequence(x: Tensor, mask: Tensor): Tensor {
  return div(sequenceSum(x, mask), tokensOfSequence(mask));
}

/** The chosen tokens of each sequence, at least 1. Shapes: mask [B, T] -> [B, 1]. */
export function tokensOfSequence(mask: Tensor): Tensor {
  return maximum(sum(mask, [1], { keepDims: true }), 1);
}
