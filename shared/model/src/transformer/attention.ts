import {
  add,
  concat,
  dimTensor,
  div,
  exp,
  fill,
  less,
  lessOrEqual,
  matmul,
  mul,
  range,
  reduceMax,
  reshape,
  shapeTensor,
  slice,
  sliceBetween,
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

/** Keys and values of some tokens. */
export interface KeyValues {
  /** [B, kvHeads, S, headDim] */
  keys: Tensor;
  /** With a last column of ones: [B, kvHeads, S, headDim + 1]. */
  values: Tensor;
}

/** Values with a column of ones behind, so that one product sums both the weighted values and the weights. */
export function withOnes(values: Tensor): Tensor {
  const shape = [...values.shape.slice(0, -1), 1];
  return concat([values, fill(shapeTensor(values.graph, shape), shape, 1, 'float32')], values.rank - 1);
}

/**
 * Attention for generation, over two stretches of keys at once; `mask` is added to the scores of both, one behind the
 * other.
 *
 * The weights are summed by the product with the values, term by term in the order of the keys, instead of by a
 * softmax: masked keys then add exactly zero, so that a row's result has the same bits however far the batch it is in
 * is padded.
 *
 * Shapes: query [B, T, heads, headDim]; mask [B, 1, share * T, S1 + S2], share = query heads of a key-value head.
 */
export function attendInParts(
  query: Tensor,
  [first, second]: readonly [KeyValues, KeyValues],
  mask: Tensor,
): Tensor {
  const kvHeads = first.keys.shape[1] as number;
  const headDim = query.shape[3] as number;
  const grouped = groupQueries(query, kvHeads);
  const plain = [first, second].map(({ keys }) => matmul(grouped, keys, { transposeB: true }));
  const scores = add(concat(plain, 3), mask);
  const weights = exp(sub(scores, reduceMax(scores, [3], { keepDims: true })));
  const border = dimTensor(first.keys.graph, first.keys.shape[2]!);
  const start = query.graph.constant([0], [1], 'int64');
  const summed = add(
    matmul(sliceBetween(weights, 3, start, border, first.keys.shape[2]!), first.values),
    matmul(sliceBetween(weights, 3, border, null, second.keys.shape[2]!), second.values),
  );
  return ungroup(div(slice(summed, 3, 0, headDim), slice(summed, 3, headDim, headDim + 1)), query);
}

/**
 * The mask of `attendInParts` where the first stretch is a cache that holds so many positions of each row, and the second
 * ends with the queries themselves: a query sees all that its row has in the cache, and of the second what is not behind it.
 *
 * Shapes: lengths int64 [B], cached [B, kvHeads, P, headDim], tokens int64 [B, T], keys [B, kvHeads, R + T, headDim] ->
 * [B, 1, share * T, P + R + T]; share = query heads of a key-value head.
 */
export function cacheMask(
  { lengths, cached }: { lengths: Tensor; cached: Tensor },
  tokens: Tensor,
  keys: Tensor,
  share: number,
): Tensor {
  const { graph } = keys;
  const [rows, columns] = tokens.shape as [Dim, Dim];
  const [old, fresh] = [cached.shape[2]!, keys.shape[2]!];
  const inCache = less(reshape(positionsAlong(cached, old), [1, old]), reshape(lengths, [rows, 1]));
  const earlier = sub(dimTensor(graph, fresh), dimTensor(graph, columns));
  const own = add(reshape(positionsAlong(tokens, columns), [columns, 1]), earlier);
  const notBehind = lessOrEqual(reshape(positionsAlong(keys, fresh), [1, fresh]), own);
  const hidden = (isSeen: Tensor): Tensor => where(isSeen, graph.scalar(0), HIDDEN);
  const shape = [rows, 1, share, columns, 1];
  const queries = fill(shapeTensor(graph, shape), shape, 0, 'float32');
  const perQuery = (mask: Tensor, keyCount: Dim): Tensor =>
    reshape(add(mask, queries), [rows, 1, -1, keyCount]);
  return concat(
    [
      perQuery(reshape(hidden(inCache), [rows, 1, 1, 1, old]), old),
      perQuery(reshape(hidden(notBehind), [1, 1, 1, columns, fresh]), fresh),
    ],
    3,
  );
}
