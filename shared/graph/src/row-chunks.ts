import { productOf } from './dim';
import { add, maximum, mul, sub } from './elementwise';
import type { Tensor } from './graph';
import { concat, dimTensor, fill, reshape, shapeTensor, sliceBetween } from './layout';
import { defineOp } from './op';
import { mapValues } from './values';

const integerDivideOp = defineOp({
  type: 'Div',
  reference: (inputs) => mapValues(inputs, (a, b) => Math.trunc(a! / b!)),
});

/** N rows as `trips` chunks of equal length, the last one filled up with zeros. */
export interface RowChunks {
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

/** Chunks of at most `chunk` rows. */
export function chunksOf(x: Tensor, chunk: number): RowChunks {
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
