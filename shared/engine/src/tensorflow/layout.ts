import type { Tensor } from '@forge/graph';
import { typed, whole } from './binding';
import type { Lowering, Planner } from './planner';
import { ints, type Ints, type Slot } from './step';
import type { Value } from './value';

/** The numbers of a value that the host knows, as an argument. */
const numbersOf = (slot: Slot): Ints => ({
  from: [slot],
  give: (x) => Array.from(x.host()),
  name: 'numbers',
});

const reshape: Lowering = (node, planner) => {
  const from = [planner.input(node, 0), planner.input(node, 1)];
  // A length of 0 copies that of the input.
  const give = (x: Value, target: Value): number[] =>
    Array.from(target.host(), (dim, i) => (dim === 0 ? x.shape[i]! : dim));
  const attributes = [typed('T', node.inputs[0]!.dtype), typed('Tshape', 'int32')];
  return [planner.op('Reshape', attributes, [from[0]!, { from, give, name: 'target' }])];
};

/** `x` with the axes in the order `perm`. */
export function transposed(planner: Planner, { dtype }: Tensor, x: Slot, perm: readonly number[]): Slot {
  return planner.op('Transpose', [typed('T', dtype), typed('Tperm', 'int32')], [x, ints(perm)]);
}

const transpose: Lowering = (node, planner) => [
  transposed(planner, node.inputs[0]!, planner.input(node, 0), node.attributes.perm as readonly number[]),
];

const concat: Lowering = (node, planner) => {
  const { dtype } = node.inputs[0]!;
  const attributes = [whole('N', node.inputs.length), typed('T', dtype), typed('Tidx', 'int32')];
  const parts = node.inputs.map((x) => planner.at(x!));
  if (parts.length === 1) return parts;
  return [planner.op('ConcatV2', attributes, [...parts, ints(node.attributes.axis as number)])];
};

/** The bounds of a slice, cut to the axis; a negative one counts from its end. */
function boundsOf(
  x: Value,
  starts: Value,
  ends: Value,
  axes: Value,
): [axis: number, start: number, end: number] {
  const axis = axes.host()[0]!;
  const length = x.shape[axis]!;
  const clamp = (i: number): number => Math.max(0, Math.min(length, i < 0 ? i + length : i));
  const [start, end] = [clamp(starts.host()[0]!), clamp(ends.host()[0]!)];
  return [axis, start, Math.max(start, end)];
}

const slice: Lowering = (node, planner) => {
  const from = [0, 1, 2, 3].map((i) => planner.input(node, i));
  const begin: Ints = {
    from,
    give: (x, ...bounds) => {
      const [axis, start] = boundsOf(x, ...(bounds as [Value, Value, Value]));
      return x.shape.map((_, i) => (i === axis ? start : 0));
    },
    name: 'begin',
  };
  const size: Ints = {
    from,
    give: (x, ...bounds) => {
      const [axis, start, end] = boundsOf(x, ...(bounds as [Value, Value, Value]));
      return x.shape.map((dim, i) => (i === axis ? end - start : dim));
    },
    name: 'size',
  };
  const attributes = [typed('T', node.inputs[0]!.dtype), typed('Index', 'int32')];
  return [planner.op('Slice', attributes, [from[0]!, begin, size])];
};

const pad: Lowering = (node, planner) => {
  const [x, pads] = [node.inputs[0]!, [...node.inputs[1]!.data!].map(Number)];
  const pairs = x.shape.flatMap((_, i) => [pads[i]!, pads[x.rank + i]!]);
  const table = planner.op(
    'Reshape',
    [typed('T', 'int32'), typed('Tshape', 'int32')],
    [ints(pairs), ints([x.rank, 2])],
  );
  const attributes = [typed('T', x.dtype), typed('Tpaddings', 'int32')];
  return [planner.op('Pad', attributes, [planner.input(node, 0), table])];
};

const expand: Lowering = (node, planner) => [
  planner.op(
    'BroadcastTo',
    [typed('T', node.inputs[0]!.dtype), typed('Tidx', 'int32')],
    [planner.input(node, 0), numbersOf(planner.input(node, 1))],
  ),
];

const constantOfShape: Lowering = (node, planner) => {
  const { constant } = node.attributes.value as { constant: Tensor };
  const value = planner.scalar(Number(constant.data![0]), constant.dtype);
  const attributes = [typed('T', constant.dtype), typed('index_type', 'int32')];
  return [planner.op('Fill', attributes, [numbersOf(planner.input(node, 0)), value])];
};

export const LAYOUT: Readonly<Record<string, Lowering>> = {
  Reshape: reshape,
  Transpose: transpose,
  Concat: concat,
  Slice: slice,
  Pad: pad,
  Expand: expand,
  ConstantOfShape: constantOfShape,
};
