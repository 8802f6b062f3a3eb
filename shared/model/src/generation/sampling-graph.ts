import {
  add,
  argmax,
  cast,
  cumsum,
  div,
  equal,
  exp,
  gatherElements,
  greaterOrEqual,
  less,
  lessOrEqual,
  logSoftmax,
  maximum,
  minimum,
  mul,
  slice,
  sub,
  sum,
  topK,
  where,
  type Tensor,
} from '@forge/graph';

/** The sampling of each row; all [B, 1]. */
export interface RowSampling {
  /** Divides the logits; 1 where the row is greedy. */
  temperature: Tensor;
  /** 1.0 for greedy rows, else 0.0. */
  greedy: Tensor;
  /** Present in the graph variant that filters: 0 is off. */
  topK?: Tensor;
  /** 1 is off. */
  topP?: Tensor;
}

/** Below every log-prob that a token can be drawn with. */
const NO_CUTOFF = -1e30;

/**
 * Draws one token per row: the inverse of the cumulative distribution, in the order of the vocabulary, at a uniform
 * number. A row without filters gives the same token in the variant that filters, bit for bit.
 *
 * Shapes: logits [B, V], uniform [B, 1] -> tokens int64 [B, 1], logprobs [B, 1] under the temperature-scaled
 * distribution, before top-k and top-p.
 */
export function sampleTokens(
  logits: Tensor,
  uniform: Tensor,
  rows: RowSampling,
): { tokens: Tensor; logprobs: Tensor } {
  const logprobs = logSoftmax(div(logits, rows.temperature));
  const weights = exp(logprobs);
  const kept =
    rows.topK && rows.topP
      ? mul(weights, cast(greaterOrEqual(logprobs, cutoff(logprobs, rows.topK, rows.topP)), 'float32'))
      : weights;
  const tokens = where(equal(rows.greedy, 1), argmax(logits, 1), draw(kept, uniform));
  return { tokens, logprobs: gatherElements(logprobs, tokens, 1) };
}

/** The first place where the running sum of `weights` [B, V] exceeds uniform times their total, int64 [B, 1]. */
function draw(weights: Tensor, uniform: Tensor): Tensor {
  const width = weights.shape[1] as number;
  const running = cumsum(weights, 1);
  return firstBeyond(running, mul(uniform, slice(running, 1, width - 1, width)), lessOrEqual);
}

/** The number of entries of `running` [B, V] before the threshold [B, 1], at most V - 1; int64 [B, 1]. */
function firstBeyond(running: Tensor, threshold: Tensor, isBefore: typeof less): Tensor {
  const before = sum(cast(isBefore(running, threshold), 'float32'), [1], { keepDims: true });
  return cast(minimum(before, (running.shape[1] as number) - 1), 'int64');
}

/**
 * The smallest log-prob that may be drawn, [B, 1]: that of the `limit`-th likeliest token, and among the tokens that
 * leaves, renormalised, that of the last one it takes to hold `share` of the probability. Tokens as likely as the last
 * one stay.
 */
function cutoff(logprobs: Tensor, limit: Tensor, share: Tensor): Tensor {
  const width = logprobs.shape[1] as number;
  const { values } = topK(logprobs, width);
  const last = cast(sub(where(equal(limit, 0), width, minimum(limit, width)), 1), 'int64');
  const byCount = where(equal(limit, 0), NO_CUTOFF, gatherElements(values, last, 1));
  const running = cumsum(mul(exp(values), cast(greaterOrEqual(values, byCount), 'float32')), 1);
  const wanted = mul(share, slice(running, 1, width - 1, width));
  const byShare = gatherElements(values, firstBeyond(running, wanted, less), 1);
  return maximum(byCount, where(less(share, 1), byShare, NO_CUTOFF));
}

/** One position further, at most the last: a full row idles there until its chunk ends. */
export function following(positions: Tensor, maxPositions: number): Tensor {
  return minimum(add(positions, 1), maxPositions - 1);
}
