import {
  add,
  concat,
  div,
  exp,
  fill,
  less,
  lessOrEqual,
  matmul,
  maximum,
  mul,
  range,
  reduceMax,
  reshape,
  shapeTensor,
  slice,
  softmax,
  sub,
  transpose,
  where,
  type Dim,
  type Tensor,
} from '@forge/graph';

/**
 * Mixes values by how well queries match keys. Query heads share key-value heads in runs of equal length (GQA).
 *
 * Shapes: query [B, T, heads, headDim], key and value [B, T, kvHeads, headDim] -> [B, T, heads * headDim].
 */
export type Attention = (query: Tensor, key: Tensor, value: Tensor, layer: number) => Tensor;

const HIDDEN = -1e9;

/** 0, 1, ... along a dimension of `like`, as int64. */
export function positionsAlong(like: Tensor, dim: Dim): Tensor {
  return range(fill(shapeTensor(like.graph, [dim]), [dim], 0, 'int64'));
}

/** 0 where query t may see key s (s <= t), a large negative number elsewhere, [T, T]. */
function causalMask(like: Tensor, columns: Dim): Tensor {
  const at = positionsAlong(like, columns);
  return where(
    lessOrEqual(reshape(at, [1, columns]), reshape(at, [columns, 1])),
    like.graph.scalar(0),
    HIDDEN,
  );
}

/** Queries scaled and grouped by key-value head: [B, kvHeads, share * T, headDim]. */
export function groupQueries(query: Tensor, kvHeads: number): Tensor {
  const [rows, columns, heads, headDim] = query.shape as [Dim, Dim, number, number];
  const share = heads / kvHeads;
  const split = reshape(mul(query, 1 / Math.sqrt(headDim)), [rows, columns, kvHeads, share, headDim]);
  return reshape(transpose(split, [0, 2, 3, 1, 4]), [rows, kvHeads, -1, headDim]);
}

/** The reverse of `groupQueries` for what attention gives: [B, T, heads * headDim]. */
function ungroup(mixed: Tensor, query: Tensor): Tensor {
  const [rows, columns, heads, headDim] = query.shape as [Dim, Dim, number, number];
  const kvHeads = mixed.shape[1] as number;
  const split = reshape(mixed, [rows, kvHeads, heads / kvHeads, columns, headDim]);
  return reshape(transpose(split, [0, 3, 1, 2, 4]), [rows, columns, heads * headDim]);
}

/** Attention for training and scoring: every token sees itself and those before it. */
export function causalAttention(tokens: Tensor): Attention {
  const [rows, columns] = tokens.shape as [Dim, Dim];
  const mask = causalMask(tokens, columns);
  return (query, key, value) => {
    const kvHeads = key.shape[2] as number;
    const share = (query.shape[2] as number) / kvHeads;
    const keys = transpose(key, [0, 2, 1, 3]);
    const grouped = groupQueries(query, kvHeads);
    const scores = matmul(grouped, keys, { transposeB: true });
    const visible = add(reshape(scores, [rows, kvHeads, share, columns, columns]), mask);
    const weights = reshape(softmax(visible), scores.shape);
    return ungroup(matmul(weights, transpose(value, [0, 2, 1, 3])), query);
  };
}

/** Keys and values of some tokens, [B, kvHeads, S, headDim], and what to add to their scores. */
export interface KeyValues {
  keys: Tensor;
  /** With a last column of ones: [B, kvHeads, S, headDim + 1]. */
  values: Tensor;
  /** Broadcast to [B, kvHeads, queries, S]; null where every query sees every key. */
  mask: Tensor | null;
}

/** Values with a column of ones behind, so that one product sums both the weighted values and the weights. */
export function withOnes(values: Tensor): Tensor {
  const shape = [...values.shape.slice(0, -1), 1];
  return concat([values, fill(shapeTensor(values.graph, shape), shape, 1, 'float32')], values.rank - 1);
}

/**
 * Attention for generation, over several stretches of keys at once.
 *
 * The weights are summed by the product with the values, term by term in the order of the keys, instead of by a
 * softmax: masked keys then add exactly zero, so that a row's result has the same bits however far the batch it is in
 * is padded.
 */
export function attendInParts(query: Tensor, parts: readonly KeyValues[]): Tensor {
  const kvHeads = parts[0]!.keys.shape[1] as number;
  const headDim = query.shape[3] as number;
  const grouped = groupQueries(query, kvHeads);
  const scores = parts.map(({ keys, mask }) => {
    const plain = matmul(grouped, keys, { transposeB: true });
    return mask === null ? plain : add(plain, mask);
  });
  const largest = scores
    .map((score) => reduceMax(score, [3], { keepDims: true }))
    .reduce((a, b) => maximum(a, b));
  const summed = scores
    .map((score, i) => matmul(exp(sub(score, largest)), parts[i]!.values))
    .reduce((a, b) => add(a, b));
  return ungroup(div(slice(summed, 3, 0, headDim), slice(summed, 3, headDim, headDim + 1)), query);
}

/** Hides the keys at and behind each row's length: lengths int64 [B] -> [B, 1, 1, S]. */
export function lengthMask(lengths: Tensor, keys: Tensor): Tensor {
  const [rows, , count] = keys.shape as [Dim, Dim, Dim];
  const at = reshape(positionsAlong(keys, count), [1, count]);
  const visible = less(at, reshape(lengths, [rows, 1]));
  return reshape(where(visible, keys.graph.scalar(0), HIDDEN), [rows, 1, 1, count]);
}

/** The causal mask for grouped queries, [1, 1, share * T, T]. */
export function groupedCausalMask(tokens: Tensor, share: number): Tensor {
  const columns = tokens.shape[1]!;
  const mask = reshape(causalMask(tokens, columns), [1, columns, columns]);
  const copies = fill(shapeTensor(tokens.graph, [share, 1, 1]), [share, 1, 1], 0, 'float32');
  return reshape(add(mask, copies), [1, 1, -1, columns]);
}
