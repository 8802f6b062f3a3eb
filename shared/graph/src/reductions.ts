import { axisOf, productOf, type Dim } from './dim';
import type { Tensor } from './graph';
import { defineOp, inputOf, type Op } from './op';
import { cast, div, equal, mul } from './elementwise';
import { dimTensor, expand, reshape } from './layout';
import { at, tabulate } from './values';

const withoutAxes = (shape: readonly Dim[], axes: readonly number[]): Dim[] =>
  shape.map((dim, i) => (axes.includes(i) ? 1 : dim));

function reductionOp(
  type: string,
  fold: (values: readonly number[]) => number,
  gradient: (dy: Tensor, x: Tensor, y: Tensor, axes: readonly number[]) => Tensor,
): Op {
  return defineOp({
    type,
    gradient: (node, dy) => {
      const x = inputOf(node, 0);
      const axes = [...inputOf(node, 1).data!].map(Number);
      const kept = withoutAxes(x.shape, axes);
      return [gradient(reshape(dy, kept), x, reshape(node.outputs[0]!, kept), axes), null];
    },
    reference: ([x, axes], { keepdims }) => {
      const reduced = [...axes!.data];
      const kept = x!.shape.map((dim, i) => (reduced.includes(i) ? 1 : dim));
      const inner = x!.shape.map((dim, i) => (reduced.includes(i) ? dim : 1));
      const result = tabulate(kept, (index) => {
        const values: number[] = [];
        tabulate(inner, (offset) => {
          values.push(
            at(
              x!,
              index.map((i, axis) => i + offset[axis]!),
            ),
          );
          return 0;
        });
        return fold(values);
      });
      const shape = keepdims === 1 ? kept : x!.shape.filter((_, i) => !reduced.includes(i));
      return [{ shape, data: result.data }];
    },
  });
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const sumOp = reductionOp('ReduceSum', total, (dy, x) => expand(dy, x.shape));
const meanOp = reductionOp(
  'ReduceMean',
  (values) => total(values) / values.length,
  (dy, x, _y, axes) => {
    const count = productOf(axes.map((axis) => x.shape[axis]!));
    return expand(
      div(dy, typeof count === 'number' ? count : cast(dimTensor(x.graph, count), 'float32')),
      x.shape,
    );
  },
);
// Equal largest elements share the gradient.
const maxOp = reductionOp(
  'ReduceMax',
  (values) => Math.max(...values),
  (dy, x, y, axes) => {
    const largest = cast(equal(x, y), 'float32');
    return mul(largest, div(dy, sum(largest, axes, { keepDims: true })));
  },
);

export interface ReductionOptions {
  /** Reduced axes stay, with length 1. */
  keepDims?: boolean;
}

function reduce(op: Op, x: Tensor, axes: readonly number[] | undefined, options: ReductionOptions): Tensor {
  const chosen = (axes ?? x.shape.map((_, i) => i)).map((axis) => axisOf(op.type, axis, x.rank));
  if (chosen.length === 0) return x;
  const keepDims = options.keepDims ?? false;
  const shape = keepDims ? withoutAxes(x.shape, chosen) : x.shape.filter((_, i) => !chosen.includes(i));
  const axesTensor = x.graph.constant(chosen, [chosen.length], 'int64');
  return x.graph.apply(op, [x, axesTensor], [{ dtype: x.dtype, shape }], { keepdims: keepDims ? 1 : 0 })[0]!;
}

/** The sum over `axes`, all of them by default. */
export const sum = (x: Tensor, axes?: readonly number[], options: ReductionOptions = {}): Tensor =>
  reduce(sumOp, x, axes, options);

/** The mean over `axes`, all of them by default. */
export const mean = (x: Tensor, axes?: readonly number[], options: ReductionOptions = {}): Tensor =>
  reduce(meanOp, x, axes, options);

/** The largest element over `axes`, all of them by default. */
export const reduceMax = (x: Tensor, axes?: readonly number[], options: ReductionOptions = {}): Tensor =>
  reduce(maxOp, x, axes, options);

/** Sum of `x` where `mask` is 1. */
export const maskedSum = (x: Tensor, mask: Tensor, axes?: readonly number[]): Tensor =>
  sum(mul(x, mask), axes);

/** Mean of `x` where `mask` is 1. */
export const maskedMean = (x: Tensor, mask: Tensor): Tensor => div(maskedSum(x, mask), sum(mask));
