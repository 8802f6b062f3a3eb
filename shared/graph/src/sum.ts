import { axisOf, type Dim } from './dim';
import type { Tensor } from './graph';
import { expand, reshape } from './layout';
import { defineOp, inputOf, type Op } from './op';
import { at, tabulate } from './values';

const withoutAxes = (shape: readonly Dim[], axes: readonly number[]): Dim[] =>
  shape.map((dim, i) => (axes.includes(i) ? 1 : dim));

/** An op that folds the elements along some axes into one; its gradient rule sees reduced axes with length 1. */
export function reductionOp(
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

export const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

export interface ReductionOptions {
  /** Reduced axes stay, with length 1. */
  keepDims?: boolean;
}

/** `op` over `axes`, all of them by default. */
export function reduce(
  op: Op,
  x: Tensor,
  axes: readonly number[] | undefined,
  options: ReductionOptions,
): Tensor {
  const chosen = (axes ?? x.shape.map((_, i) => i)).map((axis) => axisOf(op.type, axis, x.rank));
  if (chosen.length === 0) return x;
  const keepDims = options.keepDims ?? false;
  const shape = keepDims ? withoutAxes(x.shape, chosen) : x.shape.filter((_, i) => !chosen.includes(i));
  const axesTensor = x.graph.constant(chosen, [chosen.length], 'int64');
  return x.graph.apply(op, [x, axesTensor], [{ dtype: x.dtype, shape }], { keepdims: keepDims ? 1 : 0 })[0]!;
}

const sumOp = reductionOp('ReduceSum', total, (dy, x) => expand(dy, x.shape));

/** The sum over `axes`, all of them by default. */
export const sum = (x: Tensor, axes?: readonly number[], options: ReductionOptions = {}): Tensor =>
  reduce(sumOp, x, axes, options);
