import type { Node } from '@forge/graph';
import { flag, typed } from './binding';
import type { Lowering, Planner } from './planner';
import type { Ints, Slot } from './step';

/** Batched products of factors, which alone honour the environment's arithmetic. */
function matmul(planner: Planner, x: Slot, y: Slot, transposeA: boolean, transposeB: boolean): Slot {
  const isRounded = planner.slots.roundsFactors;
  const type = typed('T', isRounded ? 'bfloat16' : 'float32');
  const attributes = [type, flag('adj_x', transposeA), flag('adj_y', transposeB)];
  const multiplied = planner.op('BatchMatMulV2', attributes, [x, y]);
  return isRounded ? converted(planner, multiplied, 'bfloat16', 'float32') : multiplied;
}

/** Input `i` of a product as it is multiplied. Constants are held rounded; what a loop does not change is rounded before it. */
function factor(node: Node, planner: Planner, i: number): Slot {
  const tensor = node.inputs[i]!;
  if (!planner.slots.roundsFactors) return planner.at(tensor);
  if (tensor.data !== null) return planner.rounded(tensor);
  const x = planner.at(tensor);
  return converted(planner.ownerOf(x), x, 'float32', 'bfloat16');
}

function converted(
  planner: Planner,
  x: Slot,
  from: 'float32' | 'bfloat16',
  to: 'float32' | 'bfloat16',
): Slot {
  return planner.op('Cast', [typed('SrcT', from), typed('DstT', to), flag('Truncate', false)], [x]);
}

const reshaped = (planner: Planner, x: Slot, dtype: 'float32' | 'bfloat16', shape: Ints): Slot =>
  planner.op('Reshape', [typed('T', dtype), typed('Tshape', 'int32')], [x, shape]);

const product: Lowering = (node, planner) => {
  const [a, b] = [factor(node, planner, 0), factor(node, planner, 1)];
  const [transposeA, transposeB] = [node.attributes.transA === 1, node.attributes.transB === 1];
  const isShared = node.inputs[1]!.rank === 2 && node.inputs[0]!.rank > 2 && !transposeA;
  if (!isShared) return [matmul(planner, a, b, transposeA, transposeB)];
  // One matrix for all rows: a single product over the flattened rows.
  const rows: Ints = { from: [a], give: ({ shape }) => [-1, shape.at(-1)!], name: 'rows' };
  const dtype = planner.slots.roundsFactors ? 'bfloat16' : 'float32';
  const flat = matmul(planner, reshaped(planner, a, dtype, rows), b, false, transposeB);
  const back: Ints = {
    from: [a, flat],
    give: (whole, result) => [...whole.shape.slice(0, -1), result.shape[1]!],
    name: 'rows back',
  };
  return [reshaped(planner, flat, 'float32', back)];
};

const gemm: Lowering = (node, planner) => [
  matmul(planner, factor(node, planner, 0), factor(node, planner, 1), true, false),
];

export const PRODUCTS: Readonly<Record<string, Lowering>> = { FusedMatMul: product, Gemm: gemm };
