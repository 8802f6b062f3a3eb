import { shapeError, type Dim } from './dim';
import { cast, div, equal, exp, log, mul, sub } from './elementwise';
import { innermost, type Tensor } from './graph';
import { gatherElements } from './indexing';
import { reshape } from './layout';
import { softmax } from './normalization';
import { defineOp, inputOf, type Values } from './op';
import { reduceMax } from './reductions';
import { sum } from './sum';

const crossEntropyOp = defineOp({
  type: 'CrossEntropy',
  expand: (node) => {
    const [logits, targets] = [inputOf(node, 0), inputOf(node, 1)];
    const [rows, width] = logits.shape as [Dim, number];
    const goals = reshape(targets, [rows, 1]);
    const shifted = sub(logits, reduceMax(logits, [1], { keepDims: true }));
    const total = sum(exp(shifted), [1], { keepDims: true });
    const logTotal = log(total);
    const spread = div(sum(mul(exp(shifted), shifted), [1], { keepDims: true }), total);
    const ids = BigInt64Array.from({ length: width }, (_, i) => BigInt(i));
    const hit = cast(equal(logits.graph.constant(ids, [1, width], 'int64'), goals), 'float32');
    return [
      reshape(sub(gatherElements(shifted, goals), logTotal), [rows]),
      reshape(sub(logTotal, spread), [rows]),
      sub(softmax(logits), hit),
    ];
  },
  reference: ([logits, targets]) => {
    const [rows, width] = logits!.shape as [number, number];
    const results: Values[] = [[rows], [rows], [rows, width]].map((shape) => ({
      shape,
      data: new Float64Array(shape.reduce((a, b) => a * b, 1)),
    }));
    const [logprobs, entropy, residual] = results.map(({ data }) => data) as Float64Array[];
    for (let row = 0; row < rows; row++) {
      const own = logits!.data.subarray(row * width, (row + 1) * width);
      const largest = own.reduce((a, b) => Math.max(a, b), -Infinity);
      const logTotal = largest + Math.log(own.reduce((total, x) => total + Math.exp(x - largest), 0));
      logprobs![row] = own[targets!.data[row]!]! - logTotal;
      own.forEach((x, column) => {
        const share = Math.exp(x - logTotal);
        entropy![row]! -= share * (x - logTotal);
        residual![row * width + column] = share - Number(column === targets!.data[row]);
      });
    }
    return results;
  },
});

/**
 * The log-probs of one target per row under the softmax of `logits`, the entropy of that distribution, and the derivative of
 * the negated log-probs by the logits: the softmax, less 1 at the target. No gradient.
 *
 * Shapes: logits [N, V] with V known, targets int64 [N] -> logprobs [N], entropy [N], residual [N, V].
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
): { logprobs: Tensor; entropy: Tensor; residual: Tensor } {
  const [rows, width] = logits.shape;
  if (logits.rank !== 2 || targets.rank !== 1 || typeof width !== 'number' || targets.shape[0] !== rows) {
    throw shapeError('crossEntropy', 'needs logits [N, V] and targets [N]', [logits.shape, targets.shape]);
  }
  const outputs = [[rows!], [rows!], logits.shape].map((shape) => ({ dtype: 'float32' as const, shape }));
  const [logprobs, entropy, residual] = innermost([logits, targets]).apply(
    crossEntropyOp,
    [logits, targets],
    outputs,
  ) as [Tensor, Tensor, Tensor];
  return { logprobs, entropy, residual };
}
