import { add, mul, neg } from './elementwise';
import { composite } from './gradient';
import { innermost, type Tensor } from './graph';
import { gatherElements, replaceElements, topK } from './indexing';
import { slice, zeros } from './layout';
import type { LinearLogprobsOptions } from './linear-logprobs';
import { matmul } from './matmul';
import { logSoftmax, softmax } from './normalization';
import { overChunks } from './row-chunks';
import { sum } from './sum';

export interface TopLogprobsOptions extends Omit<LinearLogprobsOptions, 'keep'> {
  k: number;
  /** Ids from it on are not told; at most V. */
  below: number;
}

/**
 * The `k` likeliest ids of each row under softmax(x weightᵀ / temperature), likeliest first, and their log-probs. No gradient.
 *
 * Shapes: x [N, D], weight [V, D] -> ids int64 [N, k], logprobs [N, k].
 */
export function topLinearLogprobs(
  x: Tensor,
  weight: Tensor,
  { k, below, chunk, temperature = 1 }: TopLogprobsOptions,
): { ids: Tensor; logprobs: Tensor } {
  const [logprobs, ids] = overChunks([mul(x, 1 / temperature)], { chunk }, ([part]) => {
    const logits = matmul(part!, weight, { transposeB: true });
    const { values, indices } = topK(slice(logSoftmax(logits), 1, 0, below), k);
    return { rows: [values, indices] };
  }).rows;
  return { ids: ids!, logprobs: logprobs! };
}

/**
 * Log-probs of several ids of each row, which differ from one another, under softmax(x weightᵀ / temperature). Forward and
 * backward pass hold the logits of `chunk` rows at a time.
 *
 * Shapes: x [N, D], weight [V, D], ids int64 [N, K] -> [N, K].
 */
export function linearLogprobsOf(
  x: Tensor,
  weight: Tensor,
  ids: Tensor,
  { chunk, temperature = 1 }: Omit<LinearLogprobsOptions, 'keep'>,
): Tensor {
  const inverse = 1 / temperature;
  return composite(
    innermost([x, weight, ids]),
    [x, weight],
    () =>
      overChunks([mul(x, inverse), ids], { chunk }, ([part, own]) => {
        const logits = matmul(part!, weight, { transposeB: true });
        return { rows: [gatherElements(logSoftmax(logits), own!)] };
      }).rows,
    ([dy], wanted) =>
      dy ? gradients(x, weight, ids, dy, { chunk, inverse, isFrozen: !wanted(1) }) : [null, null],
  )[0]!;
}

function gradients(
  x: Tensor,
  weight: Tensor,
  ids: Tensor,
  dy: Tensor,
  { chunk, inverse, isFrozen }: { chunk: number; inverse: number; isFrozen: boolean },
): [Tensor, Tensor | null] {
  const first = isFrozen ? [] : [zeros(weight.graph, weight.shape)];
  const { state, rows } = overChunks(
    [mul(x, inverse), ids, dy],
    { chunk, state: first },
    ([part, own, given], [dWeight]) => {
      const shares = softmax(matmul(part!, weight, { transposeB: true }));
      const ofAll = mul(shares, neg(sum(given!, [1], { keepDims: true })));
      const dLogits = replaceElements(ofAll, own!, add(gatherElements(ofAll, own!), given!));
      return {
        state: dWeight === undefined ? [] : [add(dWeight, matmul(dLogits, part!, { transposeA: true }))],
        rows: [mul(matmul(dLogits, weight), inverse)],
      };
    },
  );
  return [rows[0]!, state[0] ?? null];
}
