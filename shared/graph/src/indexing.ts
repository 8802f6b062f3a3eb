import { axisOf, productOf, shapeError, type Dim } from './dim';
import { innermost, type Tensor } from './graph';
import { defineOp, inputOf } from './op';
import { cast, equal, sub } from './elementwise';
import { dimTensor, fill, reshape, shapeTensor, zeros } from './layout';
import { matmul } from './matmul';
import { sizeOf, stridesOf, tabulate, withAxis } from './values';

const offsetOf = (shape: readonly number[], index: readonly number[]): number => {
  const strides = stridesOf(shape);
  return index.reduce((offset, i, axis) => offset + i * strides[axis]!, 0);
};

const gatherOp = defineOp({
  type: 'Gather',
  gradient: (node, dy) => {
    const [x, indices] = [inputOf(node, 0), inputOf(node, 1)];
    if (node.attributes.axis !== 0) throw shapeError('gather', 'has a gradient along axis 0 only', [x.shape]);
    return [sumRowsByIndex(dy, indices, x.shape), null];
  },
  reference: ([x, indices], { axis }) => {
    const along = axis as number;
    const shape = [...x!.shape.slice(0, along), ...indices!.shape, ...x!.shape.slice(along + 1)];
    return [
      tabulate(shape, (index) => {
        const picked =
          indices!.data[offsetOf(indices!.shape, index.slice(along, along + indices!.shape.length))]!;
        const source = [...index.slice(0, along), picked, ...index.slice(along + indices!.shape.length)];
        return x!.data[offsetOf(x!.shape, source)]!;
      }),
    ];
  },
});

/**
 * Slices of `x` along `axis`, chosen by int64 `indices`; an index may repeat.
 *
 * Shapes: x [R, ...], indices [...I] -> [...I, ...] for axis 0.
 */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
  const along = axisOf('gather', axis, x.rank);
  const shape = [...x.shape.slice(0, along), ...indices.shape, ...x.shape.slice(along + 1)];
  return innermost([x, indices]).apply(gatherOp, [x, indices], [{ dtype: x.dtype, shape }], {
    axis: along,
  })[0]!;
}

const uniqueOp = defineOp({
  type: 'Unique',
  reference: ([x]) => {
    const sorted = [...new Set(x!.data)].sort((a, b) => a - b);
    const vector = (values: readonly number[]) => ({
      shape: [values.length],
      data: Float64Array.from(values),
    });
    return [
      vector(sorted),
      vector(sorted.map((value) => x!.data.indexOf(value))),
      vector([...x!.data].map((value) => sorted.indexOf(value))),
    ];
  },
});

const scatterNdOp = defineOp({
  type: 'ScatterND',
  reference: ([x, indices, updates]) => {
    const data = x!.data.slice();
    const [count, depth] = indices!.shape as [number, number];
    const block = sizeOf(x!.shape.slice(depth));
    for (let i = 0; i < count; i++) {
      const start =
        offsetOf(x!.shape.slice(0, depth), [...indices!.data.slice(i * depth, (i + 1) * depth)]) * block;
      data.set(updates!.data.slice(i * block, (i + 1) * block), start);
    }
    return [{ shape: x!.shape, data }];
  },
});

/** Rows [R, D], their int64 indices [R] and N as int64 [1] -> [N, D], whose row n is the sum of the rows with index n. */
const segmentSumOp = defineOp({
  type: 'SegmentSum',
  expand: (node) => [sumByDistinctIndex(inputOf(node, 0), inputOf(node, 1), node.outputs[0]!.shape)],
  reference: ([rows, indices, length]) => {
    const [count, width] = [length!.data[0]!, rows!.shape[1]!];
    const data = new Float64Array(count * width);
    rows!.data.forEach((value, i) => {
      const at = indices!.data[Math.floor(i / width)]! * width + (i % width);
      data[at] = data[at]! + value;
    });
    return [{ shape: [count, width], data }];
  },
});

/** A tensor of `shape` whose row r is the sum of the rows of `gradient` with index r. */
function sumRowsByIndex(gradient: Tensor, indices: Tensor, shape: readonly Dim[]): Tensor {
  const graph = innermost([gradient, indices]);
  const flat = reshape(indices, [-1]);
  const width = productOf(shape.slice(1));
  const inputs = [reshape(gradient, [flat.shape[0]!, width]), flat, dimTensor(graph, shape[0]!)];
  const outputs = [{ dtype: 'float32', shape: [shape[0]!, width] }] as const;
  return reshape(graph.apply(segmentSumOp, inputs, outputs)[0]!, shape);
}

/**
 * The sums of rows by index, without two writes to one row.
 *
 * ScatterND with addition is wrong for repeated indices on several threads (DESIGN 3.1). So rows of equal index are
 * first summed by a product with a 0-1 matrix over the distinct indices, and then written without overlap.
 */
function sumByDistinctIndex(rows: Tensor, indices: Tensor, shape: readonly Dim[]): Tensor {
  const graph = innermost([rows, indices]);
  const symbol = graph.freshName('unique');
  const [distinct, , inverse] = graph.apply(
    uniqueOp,
    [indices],
    [
      { dtype: 'int64', shape: [symbol] },
      { dtype: 'int64', shape: [symbol] },
      { dtype: 'int64', shape: indices.shape },
    ],
  ) as [Tensor, Tensor, Tensor];
  const rank = range(distinct);
  const belongs = cast(
    equal(reshape(rank, [symbol, 1]), reshape(inverse, [1, indices.shape[0]!])),
    'float32',
  );
  const summed = matmul(belongs, rows);
  const target = zeros(graph, shape);
  return graph.apply(
    scatterNdOp,
    [target, reshape(distinct, [symbol, 1]), summed],
    [{ dtype: 'float32', shape: target.shape }],
  )[0]!;
}

const cumsumOp = defineOp({
  type: 'CumSum',
  reference: ([x, axis]) => {
    const along = axis!.data[0]!;
    return [
      tabulate(x!.shape, (index) => {
        let total = 0;
        for (let i = 0; i <= index[along]!; i++)
          total += x!.data[offsetOf(x!.shape, withAxis(index, along, i))]!;
        return total;
      }),
    ];
  },
});

/** Running sums along `axis`. No gradient. */
export function cumsum(x: Tensor, axis: number): Tensor {
  const along = axisOf('cumsum', axis, x.rank);
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  return x.graph.apply(cumsumOp, [x, x.graph.scalar(along, 'int64')], outputs)[0]!;
}

/** 0, 1, 2, ... as an int64 vector as long as the vector `x`. */
export function range(x: Tensor): Tensor {
  return sub(cumsum(fill(shapeTensor(x.graph, x.shape), x.shape, 1, 'int64'), 0), 1);
}

const gatherElementsOp = defineOp({
  type: 'GatherElements',
  gradient: (node, dy) => {
    const [x, indices] = [inputOf(node, 0), inputOf(node, 1)];
    const target = zeros(dy.graph, x.shape);
    const attributes = { axis: node.attributes.axis! };
    // One index per row is the only use with a gradient, so nothing is written twice.
    if (indices.shape[node.attributes.axis as number] !== 1) {
      throw shapeError('gatherElements', 'has a gradient for one index per row only', [indices.shape]);
    }
    return [
      dy.graph.apply(
        scatterElementsOp,
        [target, indices, dy],
        [{ dtype: 'float32', shape: x.shape }],
        attributes,
      )[0]!,
      null,
    ];
  },
  reference: ([x, indices], { axis }) => [
    tabulate(indices!.shape, (index) => {
      const picked = indices!.data[offsetOf(indices!.shape, index)]!;
      return x!.data[offsetOf(x!.shape, withAxis(index, axis as number, picked))]!;
    }),
  ],
});

const scatterElementsOp = defineOp({
  type: 'ScatterElements',
  reference: ([x, indices, updates], { axis }) => {
    const data = x!.data.slice();
    tabulate(indices!.shape, (index) => {
      const i = offsetOf(indices!.shape, index);
      data[offsetOf(x!.shape, withAxis(index, axis as number, indices!.data[i]!))] = updates!.data[i]!;
      return 0;
    });
    return [{ shape: x!.shape, data }];
  },
});

/** Elements of `x` chosen along `axis` by int64 `indices` of the same rank. */
export function gatherElements(x: Tensor, indices: Tensor, axis = -1): Tensor {
  if (x.rank !== indices.rank) throw shapeError('gatherElements', 'ranks differ', [x.shape, indices.shape]);
  const attributes = { axis: axisOf('gatherElements', axis, x.rank) };
  const outputs = [{ dtype: x.dtype, shape: indices.shape }];
  return innermost([x, indices]).apply(gatherElementsOp, [x, indices], outputs, attributes)[0]!;
}

const argmaxOp = defineOp({
  type: 'ArgMax',
  reference: ([x], { axis }) => {
    const along = axis as number;
    return [
      tabulate(withAxis(x!.shape, along, 1), (index) => {
        let best = 0;
        const value = (i: number): number => x!.data[offsetOf(x!.shape, withAxis(index, along, i))]!;
        for (let i = 1; i < x!.shape[along]!; i++) if (value(i) > value(best)) best = i;
        return best;
      }),
    ];
  },
});

/** The index of the largest element along `axis`, which stays with length 1; the first of equal ones. */
export function argmax(x: Tensor, axis: number): Tensor {
  const along = axisOf('argmax', axis, x.rank);
  const shape: Dim[] = [...x.shape];
  shape[along] = 1;
  return x.graph.apply(argmaxOp, [x], [{ dtype: 'int64', shape }], { axis: along, keepdims: 1 })[0]!;
}

const topKOp = defineOp({
  type: 'TopK',
  reference: ([x, k]) => {
    const count = k!.data[0]!;
    const width = x!.shape.at(-1)!;
    const shape = [...x!.shape.slice(0, -1), count];
    const order = (row: number): number[] => {
      const values = x!.data.slice(row * width, (row + 1) * width);
      return [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
    };
    const rows = Array.from({ length: x!.data.length / width }, (_, row) => order(row).slice(0, count));
    const indices = Float64Array.from(rows.flat());
    return [
      { shape, data: indices.map((column, i) => x!.data[Math.floor(i / count) * width + column]!) },
      { shape, data: indices },
    ];
  },
});

/** The `k` largest elements along the last axis in descending order, and where they are. No gradient. */
export function topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
  const shape = [...x.shape.slice(0, -1), k];
  const [values, indices] = x.graph.apply(
    topKOp,
    [x, x.graph.constant([k], [1], 'int64')],
    [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape },
    ],
  ) as [Tensor, Tensor];
  return { values, indices };
}

/** `x` with `updates` in place of the elements at `indices` of the last axis, which differ from one another. No gradient. */
export function replaceElements(x: Tensor, indices: Tensor, updates: Tensor): Tensor {
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  const attributes = { axis: x.rank - 1 };
  return innermost([x, indices, updates]).apply(
    scatterElementsOp,
    [x, indices, updates],
    outputs,
    attributes,
  )[0]!;
}
