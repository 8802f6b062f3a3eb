import { flag, typed, whole, type OpAttribute } from './binding';
import type { Lowering, Planner } from './planner';
import { ints, type Ints, type Slot } from './step';

const FLOAT: readonly OpAttribute[] = [typed('T', 'float32')];

/** The place of each row's target, [N, 2]. */
function places(planner: Planner, targets: Slot): Slot {
  const count: Ints = { from: [targets], give: ({ shape }) => shape[0]!, name: 'count' };
  const rows = planner.op('Range', [typed('Tidx', 'int32')], [ints(0), count, ints(1)]);
  const toInt64 = [typed('SrcT', 'int32'), typed('DstT', 'int64'), flag('Truncate', false)];
  const pair = [typed('T', 'int64'), whole('axis', 1), whole('N', 2)];
  return planner.op('Pack', pair, [planner.op('Cast', toInt64, [rows]), targets]);
}

/**
 * By the softmax, which is quick, in place of TensorFlow's sparse cross-entropy, which is not. The largest share is never
 * too small for its logarithm, and gives that of the sum.
 */
export const lowerCrossEntropy: Lowering = (node, planner) => {
  const [logits, targets] = [planner.input(node, 0), planner.input(node, 1)];
  const along = [flag('keep_dims', false), typed('T', 'float32'), typed('Tidx', 'int32')];
  const reduced = (name: string, x: Slot): Slot => planner.op(name, along, [x, ints([1])]);
  const binary = (name: string, a: Slot, b: Slot): Slot => planner.op(name, FLOAT, [a, b]);
  const shares = planner.op('Softmax', FLOAT, [logits]);
  const logLargest = planner.op('Log', FLOAT, [reduced('Max', shares)]);
  const logTotal = binary('Sub', reduced('Max', logits), logLargest);
  const at = places(planner, targets);
  const gather = [typed('Tparams', 'float32'), typed('Tindices', 'int64')];
  const chosen = planner.op('GatherNd', gather, [logits, at]);
  const expected = reduced('Sum', binary('Mul', shares, logits));
  const length: Ints = { from: [targets], give: ({ shape }) => shape, name: 'shape' };
  const ones = planner.op(
    'Fill',
    [typed('T', 'float32'), typed('index_type', 'int32')],
    [length, planner.scalar(1)],
  );
  const scatter = [typed('T', 'float32'), typed('Tindices', 'int64')];
  const residual = planner.op('TensorScatterSub', scatter, [shares, at, ones]);
  return [binary('Sub', chosen, logTotal), binary('Sub', logTotal, expected), residual];
};
