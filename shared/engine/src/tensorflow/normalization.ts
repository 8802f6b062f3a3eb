import { flag, typed, type OpAttribute } from './binding';
import { square } from './elementwise';
import type { Lowering } from './planner';
import { ints, type Ints } from './step';

const FLOAT: readonly OpAttribute[] = [typed('T', 'float32')];

const reduction =
  (name: string): Lowering =>
  (node, planner) => {
    const attributes = [
      flag('keep_dims', node.attributes.keepdims === 1),
      typed('T', node.inputs[0]!.dtype),
      typed('Tidx', 'int32'),
    ];
    const axes = planner.input(node, 1);
    const along: Ints = { from: [axes], give: (x) => Array.from(x.host()), name: 'axes' };
    return [planner.op(name, attributes, [planner.input(node, 0), along])];
  };

const sum: Lowering = (node, planner) => {
  const squared = node.inputs[0]!.node;
  const isSquare = squared?.op.type === 'Mul' && squared.inputs[0] === squared.inputs[1];
  if (!isSquare || node.outputs[0]!.rank > 0 || squared.outputs[0]!.dtype !== 'float32')
    return reduction('Sum')(node, planner);
  // Without a tensor of the squares.
  const half = planner.op('L2Loss', FLOAT, [planner.at(squared.inputs[0]!)]);
  return [planner.op('Mul', FLOAT, [half, planner.scalar(2)])];
};

const rmsNorm: Lowering = (node, planner) => {
  const [x, weight] = [planner.input(node, 0), planner.input(node, 1)];
  const { float: epsilon } = node.attributes.epsilon as { float: number };
  const mean = planner.op(
    'Mean',
    [flag('keep_dims', true), typed('T', 'float32'), typed('Tidx', 'int32')],
    [square(planner, x), ints([node.inputs[0]!.rank - 1])],
  );
  const inverse = planner.op('Rsqrt', FLOAT, [planner.op('AddV2', FLOAT, [mean, planner.scalar(epsilon)])]);
  const normalized = planner.op('Mul', FLOAT, [x, inverse]);
  return [planner.op('Mul', FLOAT, [normalized, weight]), inverse];
};

const perRow =
  (name: string, attribute = 'T'): Lowering =>
  (node, planner) => [planner.op(name, [typed(attribute, 'float32')], [planner.input(node, 0)])];

export const NORMALIZATION: Readonly<Record<string, Lowering>> = {
  ReduceSum: sum,
  ReduceMean: reduction('Mean'),
  ReduceMax: reduction('Max'),
  SimplifiedLayerNormalization: rmsNorm,
  Softmax: perRow('Softmax'),
  LogSoftmax: perRow('LogSoftmax'),
};
