import { flag, typed, whole } from './binding';
import { transposed } from './layout';
import type { Lowering, Planner } from './planner';
import { ints, type Ints, type Slot } from './step';
import type { Value } from './value';

const gather: Lowering = (node, planner) => {
  const attributes = [
    typed('Tparams', node.inputs[0]!.dtype),
    typed('Tindices', 'int64'),
    typed('Taxis', 'int32'),
    whole('batch_dims', 0),
  ];
  const args = [planner.input(node, 0), planner.input(node, 1), ints(node.attributes.axis as number)];
  return [planner.op('GatherV2', attributes, args)];
};

/** The order of axes in which `axis` and the last one have changed places. */
const withLast = (rank: number, axis: number): number[] =>
  Array.from({ length: rank }, (_, i) => (i === axis ? rank - 1 : i === rank - 1 ? axis : i));

/** Applies `op`, which works along the last axis, along `axis`. */
function alongLast(
  node: Parameters<Lowering>[0],
  planner: Planner,
  op: (inputs: readonly Slot[]) => Slot,
): Slot {
  const { rank } = node.inputs[0]!;
  const axis = node.attributes.axis as number;
  const inputs = node.inputs.map((x) => planner.at(x!));
  if (axis === rank - 1) return op(inputs);
  const perm = withLast(rank, axis);
  const moved = inputs.map((x, i) => transposed(planner, node.inputs[i]!, x, perm));
  return transposed(planner, node.outputs[0]!, op(moved), perm);
}

const gatherElements: Lowering = (node, planner) => {
  const last = node.inputs[0]!.rank - 1;
  const attributes = [
    typed('Tparams', node.inputs[0]!.dtype),
    typed('Tindices', 'int64'),
    typed('Taxis', 'int32'),
    whole('batch_dims', last),
  ];
  return [
    alongLast(node, planner, ([x, indices]) =>
      planner.op('GatherV2', attributes, [x!, indices!, ints(last)]),
    ),
  ];
};

/** Indices of a row differ from one another, so that the elements, end to end, are written once at most. */
const scatterElements: Lowering = (node, planner) => {
  const replace = ([x, indices, updates]: readonly Slot[]): Slot => {
    const { dtype } = node.inputs[0]!;
    const reshaped = (value: Slot, of: typeof dtype, shape: Ints): Slot =>
      planner.op('Reshape', [typed('T', of), typed('Tshape', 'int32')], [value, shape]);
    const rowsOf = ({ shape }: Value): number => shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const shape: Ints = { from: [x!], give: (value) => value.shape, name: 'shape' };
    const end: Ints = { from: [x!], give: (value) => rowsOf(value) * value.shape.at(-1)!, name: 'size' };
    const width: Ints = { from: [x!], give: (value) => value.shape.at(-1)!, name: 'width' };
    const byRow: Ints = {
      from: [indices!],
      give: (value) => [rowsOf(value), value.shape.at(-1)!],
      name: 'by row',
    };
    const starts = planner.op('Range', [typed('Tidx', 'int32')], [ints(0), end, width]);
    const toInt64 = [typed('SrcT', 'int32'), typed('DstT', 'int64'), flag('Truncate', false)];
    const column = reshaped(planner.op('Cast', toInt64, [starts]), 'int64', ints([-1, 1]));
    const places = planner.op('AddV2', [typed('T', 'int64')], [reshaped(indices!, 'int64', byRow), column]);
    const written = planner.op(
      'TensorScatterUpdate',
      [typed('T', dtype), typed('Tindices', 'int64')],
      [
        reshaped(x!, dtype, ints([-1])),
        reshaped(places, 'int64', ints([-1, 1])),
        reshaped(updates!, dtype, ints([-1])),
      ],
    );
    return reshaped(written, dtype, shape);
  };
  return [alongLast(node, planner, replace)];
};

function runningSum(
  planner: Planner,
  x: Slot,
  axis: number,
  dtype: 'float32' | 'int64',
  isExclusive = false,
): Slot {
  const attributes = [
    flag('exclusive', isExclusive),
    flag('reverse', false),
    typed('T', dtype),
    typed('Tidx', 'int32'),
  ];
  return planner.op('Cumsum', attributes, [x, ints(axis)]);
}

const cumsum: Lowering = (node, planner) => {
  const dtype = node.inputs[0]!.dtype as 'float32' | 'int64';
  return [runningSum(planner, planner.input(node, 0), Number(node.inputs[1]!.data![0]), dtype)];
};

const argmax: Lowering = (node, planner) => {
  const axis = node.attributes.axis as number;
  const attributes = [
    typed('T', node.inputs[0]!.dtype),
    typed('Tidx', 'int32'),
    typed('output_type', 'int64'),
  ];
  const best = planner.op('ArgMax', attributes, [planner.input(node, 0), ints(axis)]);
  return [planner.op('ExpandDims', [typed('T', 'int64'), typed('Tdim', 'int32')], [best, ints(axis)])];
};

const topK: Lowering = (node, planner) => {
  const attributes = [
    flag('sorted', true),
    typed('T', node.inputs[0]!.dtype),
    typed('Tk', 'int32'),
    typed('index_type', 'int32'),
  ];
  const count = ints(Number(node.inputs[1]!.data![0]));
  const [values, indices] = planner.ops('TopKV2', attributes, [planner.input(node, 0), count], 2);
  const toInt64 = [typed('SrcT', 'int32'), typed('DstT', 'int64'), flag('Truncate', false)];
  return [values!, planner.op('Cast', toInt64, [indices!])];
};

const segmentSum: Lowering = (node, planner) => {
  const attributes = [typed('T', 'float32'), typed('Tindices', 'int64'), typed('Tnumsegments', 'int32')];
  const [rows, indices, length] = [0, 1, 2].map((i) => planner.input(node, i)) as [Slot, Slot, Slot];
  const count: Ints = { from: [length], give: (x) => x.host()[0]!, name: 'count' };
  return [planner.op('UnsortedSegmentSum', attributes, [rows, indices, count])];
};

export const INDEXING: Readonly<Record<string, Lowering>> = {
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  CumSum: cumsum,
  ArgMax: argmax,
  TopK: topK,
  SegmentSum: segmentSum,
};
