import { productOf } from './dim';
import { add, maximum, mul, sub } from './elementwise';
import type { Tensor } from './graph';
import { concat, dimTensor, fill, reshape, shapeTensor, sliceBetween } from './layout';
import { loop } from './loop';
import { defineOp } from './op';
import { mapValues } from './values';

const integerDivideOp = defineOp({
  type: 'Div',
  reference: (inputs) => mapValues(inputs, (a, b) => Math.trunc(a! / b!)),
});

interface ChunkResults {
  /** Tensors that the next chunk sees; none unless given. */
  state?: readonly Tensor[];
  /** Rows of this chunk, [length, ...]. */
  rows: readonly Tensor[];
}

/**
 * `body` on chunks of equal length of tensors that have N rows, `chunk` at most at a time, one after the other; the last chunk is
 * filled up with zeros. The rows that it gives come back as N rows, with the last state.
 */
export function overChunks(
  tensors: readonly Tensor[],
  { chunk, state: first = [] }: { chunk: number; state?: readonly Tensor[] },
  body: (parts: readonly Tensor[], state: readonly Tensor[]) => ChunkResults,
): Required<ChunkResults> {
  const [{ graph, shape }] = tensors as [Tensor];
  const count = dimTensor(graph, shape[0]!);
  const integer = (value: number): Tensor => graph.constant([value], [1], 'int64');
  const ceilDivide = (a: Tensor, b: Tensor): Tensor =>
    graph.apply(integerDivideOp, [sub(add(a, b), integer(1)), b], [{ dtype: 'int64', shape: [1] }])[0]!;
  const trips = ceilDivide(count, integer(chunk));
  const length = ceilDivide(count, maximum(trips, 1));
  const missing = sub(mul(trips, length), count);
  const [tripsDim, lengthDim] = [graph.freshName('trips'), graph.freshName('rows')];
  const padded = tensors.map((rows) => {
    const tail = rows.shape.slice(1);
    const zeros = tail.length === 0 ? missing : concat([missing, shapeTensor(graph, tail)], 0);
    return concat([rows, fill(zeros, [graph.freshName('missing'), ...tail], 0, rows.dtype)], 0);
  });
  const { state, scan } = loop({
    trips: reshape(trips, []),
    tripsDim,
    state: [...first],
    body: (counter, carried) => {
      const start = mul(reshape(counter, [1]), length);
      const end = add(start, length);
      const parts = padded.map((rows) => sliceBetween(rows, 0, start, end, lengthDim));
      const { state: next = [], rows } = body(parts, carried);
      return { state: [...next], scan: [...rows] };
    },
  });
  const joined = (stacked: Tensor): Tensor => {
    const flat = reshape(stacked, [productOf([tripsDim, lengthDim]), ...stacked.shape.slice(2)]);
    return sliceBetween(flat, 0, integer(0), count, shape[0]!);
  };
  return { state, rows: scan.map(joined) };
}
