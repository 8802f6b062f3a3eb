import { productOf } from './dim';
import { cast, div, equal, mul } from './elementwise';
import type { Tensor } from './graph';
import { dimTensor, expand } from './layout';
import { reduce, reductionOp, sum, total, type ReductionOptions } from './sum';

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
