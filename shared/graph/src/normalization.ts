import { shapeError } from './dim';
import { innermost, type Tensor } from './graph';
import { defineOp, inputOf } from './op';
import { exp, mul, sub } from './elementwise';
import { mean } from './reductions';
import { sum } from './sum';
import type { Values } from './op';

/** `f` on every row along the last axis. */
function byRow(x: Values, f: (row: Float64Array) => Float64Array): Values {
  const width = x.shape.at(-1)!;
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += width)
    data.set(f(x.data.slice(start, start + width)), start);
  return { shape: x.shape, data };
}

function logSumExp(row: Float64Array): number {
  const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
  return largest + Math.log(row.reduce((total, x) => total + Math.exp(x - largest), 0));
}

const softmaxOp = defineOp({
  type: 'Softmax',
  gradient: (node, dy) => {
    const y = node.outputs[0]!;
    return [mul(y, sub(dy, sum(mul(dy, y), [-1], { keepDims: true })))];
  },
  reference: ([x]) => [
    byRow(x!, (row) => {
      const total = logSumExp(row);
      return row.map((value) => Math.exp(value - total));
    }),
  ],
});

const logSoftmaxOp = defineOp({
  type: 'LogSoftmax',
  gradient: (node, dy) => [sub(dy, mul(exp(node.outputs[0]!), sum(dy, [-1], { keepDims: true })))],
  reference: ([x]) => [
    byRow(x!, (row) => {
      const total = logSumExp(row);
      return row.map((value) => value - total);
    }),
  ],
});

/** Softmax along the last axis. */
export const softmax = (x: Tensor): Tensor =>
  x.graph.apply(softmaxOp, [x], [{ dtype: x.dtype, shape: x.shape }], { axis: -1 })[0]!;

/** Logarithm of the softmax along the last axis. */
export const logSoftmax = (x: Tensor): Tensor =>
  x.graph.apply(logSoftmaxOp, [x], [{ dtype: x.dtype, shape: x.shape }], { axis: -1 })[0]!;

const rmsNormOp = defineOp({
  type: 'SimplifiedLayerNormalization',
  gradient: (node, dy, wanted) => {
    const [x, weight] = [inputOf(node, 0), inputOf(node, 1)];
    const inverse = node.outputs[1]!;
    const normalized = mul(x, inverse);
    const scaled = mul(dy, weight);
    const along = mean(mul(scaled, normalized), [-1], { keepDims: true });
    const rows = x.shape.slice(0, -1).map((_, i) => i);
    return [
      wanted(0) ? mul(inverse, sub(scaled, mul(normalized, along))) : null,
      wanted(1) ? sum(mul(dy, normalized), rows) : null,
    ];
  },
  reference: ([x, weight], { epsilon }) => {
    const { float } = epsilon as { float: number };
    const inverse = (row: Float64Array): number =>
      1 / Math.sqrt(row.reduce((total, value) => total + value * value, 0) / row.length + float);
    const width = x!.shape.at(-1)!;
    const factors = Array.from({ length: x!.data.length / width }, (_, i) =>
      inverse(x!.data.slice(i * width, (i + 1) * width)),
    );
    return [
      byRow(x!, (row) => row.map((value, i) => value * inverse(row) * weight!.data[i]!)),
      { shape: [...x!.shape.slice(0, -1), 1], data: Float64Array.from(factors) },
    ];
  },
});

/**
 * Root-mean-square normalisation of the last axis: x / sqrt(mean(x²) + epsilon) * weight.
 *
 * Shapes: x [..., D], weight [D].
 *
 * @see https://arxiv.org/abs/1910.07467
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  if (weight.rank !== 1 || weight.shape[0] !== x.shape.at(-1)) {
    throw shapeError('rmsNorm', 'the weight is as long as the last axis', [x.shape, weight.shape]);
  }
  const outputs = [
    { dtype: x.dtype, shape: x.shape },
    { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] },
  ];
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  return innermost([x, weight]).apply(rmsNormOp, [x, weight], outputs, attributes)[0]!;
}
