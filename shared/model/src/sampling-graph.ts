import {
  add,
  argmax,
  cast,
  cumsum,
  div,
  equal,
  exp,
  fill,
  gatherElements,
  less,
  lessOrEqual,
  logicalAnd,
  logSoftmax,
  maximum,
  minimum,
  mul,
  not,
  range,
  shapeTensor,
  slice,
  sub,
  sum,
  topK,
  where,
  reshape,
  type Tensor,
} from '@forge/graph';

/** How each row is sampled; all [B, 1]. */
export interface RowSampling {
  /** 1 where the row is greedy. */
  temperature: Tensor;
  /** 1.0 for greedy rows, else 0.0. */
  greedy: Tensor;
  /** Present in the graph variant that filters: 0 is off. */
  topK?: Tensor;
  /** 1 is off. */
  topP?: Tensor;
}

/**
 * Draws one token per row: the inverse of the cumulative distribution at a uniform number.
 *
 * Shapes: logits [B, V], uniform [B, 1] -> tokens int64 [B, 1], logprobs [B, 1] under the temperature-scaled
 * distribution, before top-k and top-p.
 */
export function sampleTokens(logits: Tensor, uniform: Tensor, rows: RowSampling): { tokens: Tensor; logprobs: Tensor } {
  const logprobs = logSoftmax(div(logits, rows.temperature));
  const drawn = rows.topK && rows.topP ? drawFiltered(logprobs, uniform, rows.topK, rows.topP) : draw(exp(logprobs), uniform);
  const tokens = where(equal(rows.greedy, 1), argmax(logits, 1), drawn);
  return { tokens, logprobs: gatherElements(logprobs, tokens, 1) };
}

/** The first place where the running sum of `weights` [B, V] exceeds uniform times their total, int64 [B, 1]. */
function draw(weights: Tensor, uniform: Tensor): Tensor {
  const width = weights.shape[1] as number;
  const running = cumsum(weights, 1);
  const threshold = mul(uniform, slice(running, 1, width - 1, width));
  const passed = sum(cast(lessOrEqual(running, threshold), 'float32'), [1], { keepDims: true });
  return cast(minimum(passed, width - 1), 'int64');
}

/** Keeps the `topK` likeliest tokens and of those the fewest that hold `topP` of the probability; the first always. */
function drawFiltered(logprobs: Tensor, uniform: Tensor, limit: Tensor, share: Tensor): Tensor {
  const width = logprobs.shape[1] as number;
  const sorted = topK(logprobs, width);
  const weights = exp(sorted.values);
  const before = sub(cumsum(weights, 1), weights);
  const ranks = reshape(cast(range(fill(shapeTensor(logprobs.graph, [width]), [width], 0, 'int64')), 'float32'), [1, width]);
  const within = logicalAnd(less(ranks, where(equal(limit, 0), width, limit)), less(before, share));
  const kept = maximum(cast(within, 'float32'), cast(not(less(0, ranks)), 'float32'));
  return gatherElements(sorted.indices, draw(mul(weights, kept), uniform), 1);
}

/** One position further, and not beyond the last there is: a row that is full idles there until its chunk ends. */
export function following(positions: Tensor, maxPositions: number): Tensor {
  return minimum(add(positions, 1), maxPositions - 1);
}
