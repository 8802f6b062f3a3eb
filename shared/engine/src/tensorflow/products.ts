import { flag, typed } from './binding';
import type { Lowering, Planner } from './planner';
import type { Ints, Slot } from './step';

/** Batched products, which alone honour the environment's arithmetic. */
function matmul(planner: Planner, a: Slot, b: Slot, transposeA: boolean, transposeB: boolean): Slot {
  const transposes = [flag('adj_x', transposeA), flag('adj_y', transposeB)];
  const multiplied = (dtype: 'float32' | 'bfloat16', x: Slot, y: Slot): Slot =>
    planner.op('BatchMatMulV2', [typed('T', dtype), ...transposes], [x, y]);
  if (!planner.slots.roundsFactors) return multiplied('float32', a, b);
  const [x, y] = [a, b].map((factor) => converted(planner, factor, 'float32', 'bfloat16')) as [Slot, Slot];
  return converted(planner, multiplied('bfloat16', x, y), 'bfloat16', 'float32');
}

function converted(
  planner: Planner,
  x: Slot,
  from: 'float32' | 'bfloat16',
  to: 'float32' | 'bfloat16',
): Slot {
  return planner.op('Cast', [typed('SrcT', from), typed('DstT', to), flag('Truncate', false)], [x]);
}

const RESHAPE = [typed('T', 'float32'), typed('Tshape', 'int32')];

const product: Lowering = (node, planner) => {
  const [a, b] = [planner.input(node, 0), planner.input(node, 1)];
  const [transposeA, transposeB] = [node.attributes.transA === 1, node.attributes.transB === 1];
  const isShared = node.inputs[1]!.rank === 2 && node.inputs[0]!.rank > 2 && !transposeA;
  if (!isShared) return [matmul(planner, a, b, transposeA, transposeB)];
  // One matrix for all rows: a single product over the flattened rows.
  const rows: Ints = { from: [a], give: ({ shape }) => [-1, shape.at(-1)!], name: 'rows' };
  const flat = matmul(planner, planner.op('Reshape', RESHAPE, [a, rows]), b, false, transposeB);
  const back: Ints = {
    from: [a, flat],
    give: (whole, result) => [...whole.shape.slice(0, -1), result.shape[1]!],
    name: 'rows back',
  };
  return [planner.op('Reshape', RESHAPE, [flat, back])];
};

const gemm: Lowering = (node, planner) => [
  matmul(planner, planner.input(node, 0), planner.input(node, 1), true, false),
];

export const PRODUCTS: Readonly<Record<string, Lowering>> = { FusedMatMul: product, Gemm: gemm };
