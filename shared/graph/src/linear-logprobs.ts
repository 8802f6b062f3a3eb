import { productOf, shapeError, type Dim } from './dim';
import { innermost, type Tensor } from './graph';
import { defineOp } from './op';
import { add, cast, div, equal, exp, log, maximum, mul, sub } from './elementwise';
import { composite } from './gradient';
import { gatherElements } from './indexing';
import { concat, dimTensor, fill, reshape, shapeTensor, sliceBetween, zeros } from './layout';
import { loop } from './loop';
import { matmul } from './matmul';
import { reduceMax } from './reductions';
import { sum } from './sum';
import { mapValues } from './values';
import { softmax } from './normalization';

const integerDivideOp = defineOp({
  type: 'Div',
  reference: (inputs) => mapValues(inputs, (a, b) => Math.trunc(a! / b!)),
});

export interface LinearLogprobsOptions {
  /** Rows whose logits exist at a time. */
  chunk: number;
  /** Logits are divided by it. */
  temperature?: number;
}

/**
 * Log-probs of one target per row under softmax(x weightᵀ / temperature), and the entropy of that distribution,
 * through which no gradient flows. Forward and backward pass hold the logits of `chunk` rows at a time, so that
 * memory does not grow with rows times vocabulary.
 *
 * Shapes: x [N, D], weight [V, D], targets int64 [N] -> logprobs [N], entropy [N].
 */
export function linearLogprobs(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearLogprobsOptions,
): { logprobs: Tensor; entropy: Tensor } {
  const { chunk, temperature = 1 } = options;
  if (typeof weight.shape[0] !== 'number')
    throw shapeError('linearLogprobs', 'needs a known vocabulary', [weight.shape]);
  if (
    x.rank !== 2 ||
    weight.rank !== 2 ||
    x.shape[1] !== weight.shape[1] ||
    targets.shape[0] !== x.shape[0]
  ) {
    throw shapeError('linearLogprobs', 'needs x [N, D], weight [V, D], targets [N]', [
      x.shape,
      weight.shape,
      targets.shape,
    ]);
  }
  const graph = innermost([x, weight, targets]);
  const inverse = 1 / temperature;
  const [logprobs, entropy] = composite(
    graph,
    [x, weight],
    () => forward(x, weight, targets, chunk, inverse),
    ([dy]) => (dy ? backwardPass(x, weight, targets, dy, chunk, inverse) : [null, null]),
  );
  return { logprobs: logprobs!, entropy: entropy! };
}

/** N rows as `trips` chunks of equal length, the last one filled up with zeros. */
interface Chunks {
  trips: Tensor;
  /** Rows of a chunk, int64 [1]. */
  length: Tensor;
  /** The symbols of both. */
  tripsDim: string;
  lengthDim: string;
  /** `rows` with zeros behind, to trips * length rows. */
  padded(rows: Tensor): Tensor;
  /** The rows of chunk `counter` of padded rows. */
  of(paddedRows: Tensor, counter: Tensor): Tensor;
  /** Stacked chunks [trips, length, ...] as the N rows they came from. */
  joined(stacked: Tensor): Tensor;
}

function chunksOf(x: Tensor, chunk: number): Chunks {
  const { graph } = x;
  const count = dimTensor(graph, x.shape[0]!);
  const integer = (value: number): Tensor => graph.constant([value], [1], 'int64');
  const ceilDivide = (a: Tensor, b: Tensor): Tensor =>
    graph.apply(integerDivideOp, [sub(add(a, b), integer(1)), b], [{ dtype: 'int64', shape: [1] }])[0]!;
  const trips = ceilDivide(count, integer(chunk));
  const length = ceilDivide(count, maximum(trips, 1));
  const missing = sub(mul(trips, length), count);
  const [tripsDim, lengthDim] = [graph.freshName('trips'), graph.freshName('rows')];
  const total = productOf([tripsDim, lengthDim]);
  return {
    trips: reshape(trips, []),
    length,
    tripsDim,
    lengthDim,
    padded: (rows) => {
      const tail = rows.shape.slice(1);
      const shape = tail.length === 0 ? missing : concat([missing, shapeTensor(graph, tail)], 0);
      return concat([rows, fill(shape, [graph.freshName('missing'), ...tail], 0, rows.dtype)], 0);
    },
    of: (paddedRows, counter) => {
      const start = mul(reshape(counter, [1]), length);
      return sliceBetween(paddedRows, 0, start, add(start, length), lengthDim);
    },
    joined: (stacked) => {
      const flat = reshape(stacked, [total, ...stacked.shape.slice(2)]);
      return sliceBetween(flat, 0, integer(0), count, x.shape[0]!);
    },
  };
}

const column = (x: Tensor, rows: Dim): Tensor => reshape(x, [rows, 1]);

function forward(x: Tensor, weight: Tensor, targets: Tensor, chunk: number, inverse: number): Tensor[] {
  const chunks = chunksOf(x, chunk);
  const [rows, goals] = [chunks.padded(x), chunks.padded(targets)];
  const { scan } = loop({
    trips: chunks.trips,
    tripsDim: chunks.tripsDim,
    state: [],
    body: (counter) => {
      const logits = scaled(matmul(chunks.of(rows, counter), weight, { transposeB: true }), inverse);
      const largest = reduceMax(logits, [1], { keepDims: true });
      const shifted = sub(logits, largest);
      const total = sum(exp(shifted), [1], { keepDims: true });
      const logTotal = log(total);
      const chosen = gatherElements(shifted, column(chunks.of(goals, counter), chunks.lengthDim));
      const spread = div(sum(mul(exp(shifted), shifted), [1], { keepDims: true }), total);
      return {
        state: [],
        scan: [
          reshape(sub(chosen, logTotal), [chunks.lengthDim]),
          reshape(sub(logTotal, spread), [chunks.lengthDim]),
        ],
      };
    },
  });
  return scan.map((stacked) => chunks.joined(stacked));
}

function backwardPass(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  dy: Tensor,
  chunk: number,
  inverse: number,
): [Tensor, Tensor] {
  const chunks = chunksOf(x, chunk);
  const [rows, goals, gradients] = [chunks.padded(x), chunks.padded(targets), chunks.padded(dy)];
  const { graph } = weight;
  const vocabulary = weight.shape[0] as number;
  const ids = graph.constant(
    BigInt64Array.from({ length: vocabulary }, (_, i) => BigInt(i)),
    [1, vocabulary],
    'int64',
  );
  const { state, scan } = loop({
    trips: chunks.trips,
    tripsDim: chunks.tripsDim,
    state: [zeros(graph, weight.shape)],
    body: (counter, [dWeight]) => {
      const part = chunks.of(rows, counter);
      const probabilities = softmax(scaled(matmul(part, weight, { transposeB: true }), inverse));
      const hit = cast(equal(ids, column(chunks.of(goals, counter), chunks.lengthDim)), 'float32');
      const incoming = scaled(column(chunks.of(gradients, counter), chunks.lengthDim), inverse);
      const dLogits = mul(sub(hit, probabilities), incoming);
      return {
        state: [add(dWeight!, matmul(dLogits, part, { transposeA: true }))],
        scan: [matmul(dLogits, weight)],
      };
    },
  });
  return [chunks.joined(scan[0]!), state[0]!];
}

const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor));
