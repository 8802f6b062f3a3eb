import type { OpStep } from './step';

/** A shape, or the numbers that an op takes as lengths or axes. */
type Operand = readonly number[];
type ShapeRule = (operands: readonly Operand[], step: OpStep) => readonly number[];

/** Lengths that an axis of 1 takes from the others. */
function broadcast(...shapes: readonly Operand[]): number[] {
  const rank = Math.max(...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((shape) => shape[i - rank + shape.length] ?? 1);
    return dims.find((dim) => dim !== 1) ?? 1;
  });
}

const first: ShapeRule = ([x]) => x!;
const all: ShapeRule = (operands) => broadcast(...operands);

const product: ShapeRule = ([a, b], step) => {
  const rows = a!.at(step.attribute('adj_x') ? -1 : -2)!;
  const columns = b!.at(step.attribute('adj_y') ? -2 : -1)!;
  return [...broadcast(a!.slice(0, -2), b!.slice(0, -2)), rows, columns];
};

const reshape: ShapeRule = ([x, target]) => {
  if (!target!.includes(-1)) return target!;
  const total = (dims: Operand): number => dims.reduce((a, b) => a * b, 1);
  const rest = -total(target!);
  return target!.map((dim) => (dim === -1 ? total(x!) / rest : dim));
};

const concat: ShapeRule = (operands) => {
  const [axis] = operands.at(-1)!;
  const parts = operands.slice(0, -1);
  return parts[0]!.map((dim, i) => (i === axis ? parts.reduce((sum, part) => sum + part[i]!, 0) : dim));
};

const reduction: ShapeRule = ([x, axes], step) => {
  const isReduced = (i: number): boolean => axes!.includes(i) || axes!.includes(i - x!.length);
  if (step.attribute('keep_dims')) return x!.map((dim, i) => (isReduced(i) ? 1 : dim));
  return x!.filter((_, i) => !isReduced(i));
};

const gather: ShapeRule = ([x, indices, along], step) => {
  const axis = along![0]!;
  const batch = step.attribute('batch_dims') as number;
  return [...x!.slice(0, axis), ...indices!.slice(batch), ...x!.slice(axis + 1)];
};

const named = (names: readonly string[], rule: ShapeRule): [string, ShapeRule][] =>
  names.map((name) => [name, rule]);

/** The shape of an op's one result from those of its operands, by the op's name. */
export const SHAPE_RULES: ReadonlyMap<string, ShapeRule> = new Map([
  ...named(['Square', 'Rsqrt', 'Neg', 'Exp', 'Log', 'Sqrt', 'Reciprocal', 'Sigmoid', 'Tanh', 'Abs'], first),
  ...named(['Sign', 'Cast', 'Softmax', 'LogSoftmax', 'LogicalNot', 'Cumsum'], first),
  ...named(['AddV2', 'Sub', 'Mul', 'RealDiv', 'Minimum', 'Maximum', 'Pow', 'SelectV2', 'LogicalAnd'], all),
  ...named(['Equal', 'Greater', 'GreaterEqual', 'Less', 'LessEqual'], all),
  ...named(['Mean', 'Sum', 'Max'], reduction),
  ['BatchMatMulV2', product],
  ['Reshape', reshape],
  ['Transpose', ([x, order]) => order!.map((axis) => x![axis]!)],
  ['ConcatV2', concat],
  ['Slice', ([, , size]) => size!],
  ['GatherV2', gather],
  ['Fill', ([shape]) => shape!],
  ['BroadcastTo', ([, shape]) => shape!],
]);
