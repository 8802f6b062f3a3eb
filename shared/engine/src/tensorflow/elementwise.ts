import type { Node, Tensor } from '@forge/graph';
import { flag, typed } from './binding';
import type { Lowering, Planner } from './planner';
import type { Slot } from './step';

const dtypeOf = (node: Node, i = 0) => node.inputs[i]!.dtype;

/** An op of the same operands whose one type attribute is that of input `i`. */
const same =
  (name: string, i = 0): Lowering =>
  (node, planner) => [
    planner.op(
      name,
      [typed('T', dtypeOf(node, i))],
      node.inputs.map((x) => planner.at(x!)),
    ),
  ];

/** An op of bools, which has no attributes. */
const logical =
  (name: string): Lowering =>
  (node, planner) => [
    planner.op(
      name,
      [],
      node.inputs.map((x) => planner.at(x!)),
    ),
  ];

const product: Lowering = (node, planner) => {
  const [a, b] = [planner.input(node, 0), planner.input(node, 1)];
  const activation = slopeOfSigmoid(node.inputs[1]!);
  if (activation !== null && sameShape(node.inputs[0]!, activation))
    return [planner.op('SigmoidGrad', [typed('T', 'float32')], [planner.at(activation), a])];
  return [a === b ? square(planner, a) : planner.op('Mul', [typed('T', dtypeOf(node))], [a, b])];
};

const sameShape = (a: Tensor, b: Tensor): boolean => a.shape.join() === b.shape.join();

/** The y of y * (1 - y) where y is a sigmoid; null for all else. */
function slopeOfSigmoid(x: Tensor): Tensor | null {
  const [y, rest] = x.node?.op.type === 'Mul' ? x.node.inputs : [];
  if (y?.node?.op.type !== 'Sigmoid' || rest?.node?.op.type !== 'Sub') return null;
  const [one, again] = rest.node.inputs;
  return again === y && one!.rank === 0 && Number(one!.data?.[0]) === 1 ? y : null;
}

export const square = (planner: Planner, x: Slot): Slot => planner.op('Square', [typed('T', 'float32')], [x]);

const quotient: Lowering = (node, planner) =>
  same(dtypeOf(node) === 'float32' ? 'RealDiv' : 'TruncateDiv')(node, planner);

const power: Lowering = (node, planner) => {
  const exponent = node.inputs[1]!;
  if (exponent.data?.length === 1 && exponent.rank === 0 && Number(exponent.data[0]) === 2)
    return [square(planner, planner.input(node, 0))];
  return same('Pow')(node, planner);
};

const equal: Lowering = (node, planner) => [
  planner.op(
    'Equal',
    [typed('T', dtypeOf(node)), flag('incompatible_shape_error', true)],
    [planner.input(node, 0), planner.input(node, 1)],
  ),
];

const cast: Lowering = (node, planner) => {
  const to = node.outputs[0]!.dtype;
  const attributes = [typed('SrcT', dtypeOf(node)), typed('DstT', to), flag('Truncate', false)];
  return [planner.op('Cast', attributes, [planner.input(node, 0)])];
};

export const ELEMENTWISE: Readonly<Record<string, Lowering>> = {
  Add: same('AddV2'),
  Sub: same('Sub'),
  Mul: product,
  Div: quotient,
  Min: same('Minimum'),
  Max: same('Maximum'),
  Pow: power,
  Equal: equal,
  Greater: same('Greater'),
  GreaterOrEqual: same('GreaterEqual'),
  Less: same('Less'),
  LessOrEqual: same('LessEqual'),
  And: logical('LogicalAnd'),
  Not: logical('LogicalNot'),
  Neg: same('Neg'),
  Exp: same('Exp'),
  Log: same('Log'),
  Sqrt: same('Sqrt'),
  Reciprocal: same('Reciprocal'),
  Sigmoid: same('Sigmoid'),
  Tanh: same('Tanh'),
  Abs: same('Abs'),
  Sign: same('Sign'),
  Clip: same('ClipByValue'),
  Where: same('SelectV2', 1),
  Cast: cast,
  Identity: (node, planner) => [planner.input(node, 0)],
};
