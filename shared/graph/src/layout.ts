import { axisOf, dimFactors, productOf, quotient, shapeError, sumOf, type Dim } from './dim';
import { innermost, type DType, type Graph, type Tensor } from './graph';
import { defineOp, inputOf } from './op';
import { at, sizeOf, stridesOf, tabulate, withAxis } from './values';

const SLICE_END = 2 ** 40;

const ints = (graph: Graph, values: readonly number[]): Tensor =>
  graph.constant(values, [values.length], 'int64');

const shapeOp = defineOp({
  type: 'Shape',
  reference: ([x]) => [{ shape: [x!.shape.length], data: Float64Array.from(x!.shape) }],
});

/** The shape of `x` as an int64 vector [rank]. */
export function shapeOf(x: Tensor): Tensor {
  return x.graph.apply(shapeOp, [x], [{ dtype: 'int64', shape: [x.rank] }])[0]!;
}

const dimProductOp = defineOp({
  type: 'Mul',
  reference: ([a, b]) => [{ shape: [1], data: Float64Array.of(a!.data[0]! * b!.data[0]!) }],
});

/** A dimension as an int64 vector [1], read from the tensors that have it. */
export function dimTensor(graph: Graph, dim: Dim): Tensor {
  const { coefficient, symbols } = dimFactors(dim);
  let product = coefficient === 1 && symbols.length > 0 ? null : ints(graph, [coefficient]);
  for (const symbol of symbols) {
    const { tensor, axis } = graph.dimSource(symbol);
    const length = slice(shapeOf(tensor), 0, axis, axis + 1);
    product =
      product === null
        ? length
        : graph.apply(dimProductOp, [product, length], [{ dtype: 'int64', shape: [1] }])[0]!;
  }
  return product!;
}

/** A shape as an int64 vector [rank], computed where it is symbolic. */
export function shapeTensor(graph: Graph, shape: readonly Dim[]): Tensor {
  if (shape.every((dim) => typeof dim === 'number')) return ints(graph, shape);
  if (shape.length === 1) return dimTensor(graph, shape[0]!);
  return concat(
    shape.map((dim) => dimTensor(graph, dim)),
    0,
  );
}

const reshapeOp = defineOp({
  type: 'Reshape',
  gradient: (node, dy) => [reshape(dy, inputOf(node, 0).shape), null],
  reference: ([x, dims]) => {
    const shape = [...dims!.data].map((dim, i) => (dim === 0 ? x!.shape[i]! : dim));
    const unknown = shape.indexOf(-1);
    if (unknown >= 0) shape[unknown] = x!.data.length / -sizeOf(shape);
    return [{ shape, data: x!.data }];
  },
});

/** The elements of `x` in another shape; one dimension may be -1, which is worked out. */
export function reshape(x: Tensor, dims: readonly Dim[]): Tensor {
  const total = productOf(x.shape);
  const unknown = dims.indexOf(-1);
  const rest = productOf(dims.filter((_, i) => i !== unknown));
  const missing = unknown < 0 ? null : quotient(total, rest);
  if (unknown >= 0 ? missing === null : rest !== total)
    throw shapeError('reshape', 'sizes differ', [x.shape, dims]);
  const shape = dims.map((dim, i) => (i === unknown ? missing! : dim));
  if (shape.length === x.rank && shape.every((dim, i) => dim === x.shape[i])) return x;
  return x.graph.apply(reshapeOp, [x, reshapeTarget(x, shape)], [{ dtype: x.dtype, shape }])[0]!;
}

/** ONNX' target: 0 copies the dimension of the input, -1 is worked out; what is left is computed. */
function reshapeTarget(x: Tensor, shape: readonly Dim[]): Tensor {
  const target = shape.map((dim, i) => (typeof dim === 'number' ? dim : dim === x.shape[i] ? 0 : -1));
  const isSimple = target.filter((dim) => dim === -1).length <= 1 && !shape.includes(0);
  return isSimple ? ints(x.graph, target) : shapeTensor(x.graph, shape);
}

const transposeOp = defineOp({
  type: 'Transpose',
  gradient: (node, dy) => {
    const perm = node.attributes.perm as readonly number[];
    return [
      transpose(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
  reference: ([x], { perm }) => {
    const order = perm as readonly number[];
    const strides = stridesOf(x!.shape);
    return [
      tabulate(
        order.map((axis) => x!.shape[axis]!),
        (index) => x!.data[order.reduce((offset, axis, i) => offset + index[i]! * strides[axis]!, 0)]!,
      ),
    ];
  },
});

/** `x` with its axes in the order `perm`. */
export function transpose(x: Tensor, perm: readonly number[]): Tensor {
  if (
    perm.length !== x.rank ||
    new Set(perm).size !== x.rank ||
    perm.some((axis) => x.shape[axis] === undefined)
  ) {
    throw shapeError(`transpose ${perm.join()}`, 'needs every axis once', [x.shape]);
  }
  const shape = perm.map((axis) => x.shape[axis]!);
  return x.graph.apply(transposeOp, [x], [{ dtype: x.dtype, shape }], { perm })[0]!;
}

const concatOp = defineOp({
  type: 'Concat',
  gradient: (node, dy) => {
    const axis = node.attributes.axis as number;
    const lengths = node.inputs.map((x) => x!.shape[axis]!);
    if (!lengths.every((length) => typeof length === 'number')) {
      throw shapeError(
        'concat',
        'has no gradient along a symbolic axis',
        node.inputs.map((x) => x!.shape),
      );
    }
    let start = 0;
    return lengths.map((length) => slice(dy, axis, start, (start += length)));
  },
  reference: (inputs, { axis }) => {
    const along = axis as number;
    const shape = [...inputs[0]!.shape];
    shape[along] = inputs.reduce((length, x) => length + x!.shape[along]!, 0);
    return [
      tabulate(shape, (index) => {
        let [offset, which] = [index[along]!, 0];
        while (offset >= inputs[which]!.shape[along]!) offset -= inputs[which++]!.shape[along]!;
        const x = inputs[which]!;
        const strides = stridesOf(x.shape);
        return x.data[withAxis(index, along, offset).reduce((sum, i, a) => sum + i * strides[a]!, 0)]!;
      }),
    ];
  },
});

/** The tensors one after the other along `axis`. */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  const first = xs[0]!;
  const along = axisOf('concat', axis, first.rank);
  const fits = (x: Tensor): boolean =>
    x.rank === first.rank && x.shape.every((dim, i) => i === along || dim === first.shape[i]);
  if (!xs.every(fits))
    throw shapeError(
      'concat',
      `shapes may differ along axis ${along} only`,
      xs.map((x) => x.shape),
    );
  const shape = [...first.shape];
  shape[along] = xs.slice(1).reduce((length, x) => sumOf(length, x.shape[along]!), first.shape[along]!);
  return innermost(xs).apply(concatOp, xs, [{ dtype: first.dtype, shape }], { axis: along })[0]!;
}

const sliceOp = defineOp({
  type: 'Slice',
  gradient: (node, dy) => {
    const x = inputOf(node, 0);
    const axis = Number(inputOf(node, 3).data![0]);
    const [start, length] = [Number(inputOf(node, 1).data![0]), x.shape[axis]!];
    const kept = dy.shape[axis]!;
    if (typeof length !== 'number' || typeof kept !== 'number') {
      throw shapeError('slice', 'has no gradient along a symbolic axis', [x.shape]);
    }
    return [pad(dy, axis, start, length - start - kept), null, null, null];
  },
  reference: ([x, starts, ends, axes]) => {
    const axis = axes!.data[0]!;
    const length = x!.shape[axis]!;
    const clamp = (i: number): number => Math.max(0, Math.min(length, i < 0 ? i + length : i));
    const [start, end] = [clamp(starts!.data[0]!), clamp(ends!.data[0]!)];
    const shape = withAxis(x!.shape, axis, Math.max(0, end - start));
    const strides = stridesOf(x!.shape);
    return [
      tabulate(
        shape,
        (index) => x!.data[index.reduce((o, i, a) => o + (a === axis ? i + start : i) * strides[a]!, 0)]!,
      ),
    ];
  },
});

/** Elements `start` to `end` (exclusive) of one axis. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const along = axisOf('slice', axis, x.rank);
  const length = x.shape[along]!;
  if (start < 0 || end < start || (typeof length === 'number' && end > length)) {
    throw shapeError(`slice ${start}:${end} of axis ${along}`, 'is out of range', [x.shape]);
  }
  const shape: Dim[] = [...x.shape];
  shape[along] = end - start;
  const bounds = [start, end, along].map((value) => ints(x.graph, [value]));
  return x.graph.apply(sliceOp, [x, ...bounds], [{ dtype: x.dtype, shape }])[0]!;
}

/**
 * Elements of one axis between bounds that are int64 vectors [1] known only at run time; `length` names or states
 * how many there are. Bounds beyond the end are cut. No gradient.
 */
export function sliceBetween(
  x: Tensor,
  axis: number,
  start: Tensor,
  end: Tensor | null,
  length: Dim,
): Tensor {
  const along = axisOf('slice', axis, x.rank);
  const shape: Dim[] = [...x.shape];
  shape[along] = length;
  const graph = innermost([x, start, ...(end === null ? [] : [end])]);
  const inputs = [x, start, end ?? ints(graph, [SLICE_END]), ints(graph, [along])];
  return graph.apply(sliceOp, inputs, [{ dtype: x.dtype, shape }])[0]!;
}

const padOp = defineOp({
  type: 'Pad',
  gradient: (node, dy) => {
    const x = inputOf(node, 0);
    const pads = [...inputOf(node, 1).data!].map(Number);
    const axis = pads.findIndex((n) => n > 0) % x.rank;
    const length = x.shape[axis];
    if (typeof length !== 'number')
      throw shapeError('pad', 'has no gradient along a symbolic axis', [x.shape]);
    return [slice(dy, axis, pads[axis]!, pads[axis]! + length), null];
  },
  reference: ([x, pads]) => {
    const rank = x!.shape.length;
    const before = [...pads!.data].slice(0, rank);
    const shape = x!.shape.map((dim, i) => before[i]! + dim + pads!.data[rank + i]!);
    const strides = stridesOf(x!.shape);
    return [
      tabulate(shape, (index) => {
        const inner = index.map((i, axis) => i - before[axis]!);
        if (inner.some((i, axis) => i < 0 || i >= x!.shape[axis]!)) return 0;
        return x!.data[inner.reduce((offset, i, axis) => offset + i * strides[axis]!, 0)]!;
      }),
    ];
  },
});

/** `x` with zeros before and after it along one axis. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  if (before === 0 && after === 0) return x;
  const along = axisOf('pad', axis, x.rank);
  const pads = new Array<number>(2 * x.rank).fill(0);
  pads[along] = before;
  pads[x.rank + along] = after;
  const shape: Dim[] = [...x.shape];
  shape[along] = sumOf(x.shape[along]!, before + after);
  return x.graph.apply(padOp, [x, ints(x.graph, pads)], [{ dtype: x.dtype, shape }])[0]!;
}

const expandOp = defineOp({
  type: 'Expand',
  reference: ([x, dims]) => [tabulate([...dims!.data], (index) => at(x!, index))],
});

/** `x` stretched to `shape` by broadcasting. Only the backward pass uses it, so it has no gradient of its own. */
export function expand(x: Tensor, shape: readonly Dim[]): Tensor {
  if (shape.length === x.rank && shape.every((dim, i) => dim === x.shape[i])) return x;
  const graph = x.graph;
  return graph.apply(expandOp, [x, shapeTensor(graph, shape)], [{ dtype: x.dtype, shape }])[0]!;
}

const constantOfShapeOp = defineOp({
  type: 'ConstantOfShape',
  reference: ([dims], { value }) => {
    const shape = [...dims!.data];
    const { constant } = value as { constant: Tensor };
    return [{ shape, data: new Float64Array(sizeOf(shape)).fill(Number(constant.data![0])) }];
  },
});

/** A tensor of one value, its shape given as an int64 vector and, in symbols, as `shape`. */
export function fill(lengths: Tensor, shape: readonly Dim[], value: number, dtype: DType): Tensor {
  const { graph } = lengths;
  const attributes = { value: { constant: graph.constant([value], [1], dtype) } };
  return graph.apply(constantOfShapeOp, [lengths], [{ dtype, shape }], attributes)[0]!;
}

/** float32 zeros. */
export function zeros(graph: Graph, shape: readonly Dim[]): Tensor {
  return fill(shapeTensor(graph, shape), shape, 0, 'float32');
}
