import { broadcastShapes, shapeError, type Dim } from './dim';
import { innermost, lift, type DType, type Operand, type Tensor } from './graph';
import { defineOp, inputOf, type Op } from './op';
import { reshape } from './layout';
import { sum } from './sum';
import { mapValues } from './values';

/** The gradient of an operand that was broadcast: summed over the stretched axes. */
export function unbroadcast(gradient: Tensor, shape: readonly Dim[]): Tensor {
  const skip = gradient.rank - shape.length;
  const stretched = gradient.shape.flatMap((dim, i) =>
    i < skip || (shape[i - skip] === 1 && dim !== 1) ? [i] : [],
  );
  const reduced = stretched.length > 0 ? sum(gradient, stretched, { keepDims: true }) : gradient;
  return reshape(reduced, shape);
}

type BinaryGradient = (
  dy: Tensor,
  a: Tensor,
  b: Tensor,
  y: Tensor,
) => readonly [() => Tensor | null, () => Tensor | null];

function binaryOp(type: string, f: (a: number, b: number) => number, gradient?: BinaryGradient): Op {
  return defineOp({
    type,
    reference: (inputs) => mapValues(inputs, f as (...xs: number[]) => number),
    ...(gradient && {
      gradient: (node, dy, wanted) => {
        const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
        return gradient(dy, a, b, node.outputs[0]!).map((rule, i) => {
          const full = wanted(i) ? rule() : null;
          return full && unbroadcast(full, i === 0 ? a.shape : b.shape);
        });
      },
    }),
  });
}

function binary(op: Op, a: Operand, b: Operand, dtype?: DType): Tensor {
  const like = typeof a === 'number' ? b : a;
  if (typeof like === 'number') throw shapeError(op.type, 'needs a tensor', []);
  const [x, y] = [lift(a, like), lift(b, like)];
  if (x.dtype !== y.dtype)
    throw shapeError(op.type, `dtypes ${x.dtype} and ${y.dtype} differ`, [x.shape, y.shape]);
  const shape = broadcastShapes(op.type, x.shape, y.shape);
  return innermost([x, y]).apply(op, [x, y], [{ dtype: dtype ?? x.dtype, shape }])[0]!;
}

function unaryOp(
  type: string,
  f: (x: number) => number,
  gradient: (dy: Tensor, x: Tensor, y: Tensor) => Tensor,
): Op {
  return defineOp({
    type,
    reference: ([x]) => [{ shape: x!.shape, data: x!.data.map(f) }],
    gradient: (node, dy) => [gradient(dy, inputOf(node, 0), node.outputs[0]!)],
  });
}

const unary = (op: Op, x: Tensor): Tensor => x.graph.apply(op, [x], [{ dtype: x.dtype, shape: x.shape }])[0]!;

const addOp = binaryOp(
  'Add',
  (a, b) => a + b,
  (dy) => [() => dy, () => dy],
);
const subOp = binaryOp(
  'Sub',
  (a, b) => a - b,
  (dy) => [() => dy, () => neg(dy)],
);
const mulOp = binaryOp(
  'Mul',
  (a, b) => a * b,
  (dy, a, b) => [() => mul(dy, b), () => mul(dy, a)],
);
const divOp = binaryOp(
  'Div',
  (a, b) => a / b,
  (dy, _a, b, y) => [() => div(dy, b), () => neg(div(mul(dy, y), b))],
);
// At a tie the first operand takes the whole gradient.
const minimumOp = binaryOp('Min', Math.min, (dy, a, b) => [
  () => where(lessOrEqual(a, b), dy, 0),
  () => where(less(b, a), dy, 0),
]);
const maximumOp = binaryOp('Max', Math.max, (dy, a, b) => [
  () => where(greaterOrEqual(a, b), dy, 0),
  () => where(greater(b, a), dy, 0),
]);
const powOp = binaryOp(
  'Pow',
  (a, b) => a ** b,
  (dy, a, b, y) => [() => mul(dy, mul(b, pow(a, sub(b, 1)))), () => mul(dy, mul(y, log(a)))],
);

export const add = (a: Operand, b: Operand): Tensor => binary(addOp, a, b);
export const sub = (a: Operand, b: Operand): Tensor => binary(subOp, a, b);
export const mul = (a: Operand, b: Operand): Tensor => binary(mulOp, a, b);
export const div = (a: Operand, b: Operand): Tensor => binary(divOp, a, b);
export const minimum = (a: Operand, b: Operand): Tensor => binary(minimumOp, a, b);
export const maximum = (a: Operand, b: Operand): Tensor => binary(maximumOp, a, b);
/** `a` to the power `exponent`; a gradient with respect to the exponent takes a positive `a`. */
export const pow = (a: Operand, exponent: Operand): Tensor => binary(powOp, a, exponent);

const truth = (f: (a: number, b: number) => boolean) => (a: number, b: number) => (f(a, b) ? 1 : 0);
const equalOp = binaryOp(
  'Equal',
  truth((a, b) => a === b),
);
const greaterOp = binaryOp(
  'Greater',
  truth((a, b) => a > b),
);
const greaterOrEqualOp = binaryOp(
  'GreaterOrEqual',
  truth((a, b) => a >= b),
);
const lessOp = binaryOp(
  'Less',
  truth((a, b) => a < b),
);
const lessOrEqualOp = binaryOp(
  'LessOrEqual',
  truth((a, b) => a <= b),
);
const andOp = binaryOp(
  'And',
  truth((a, b) => a !== 0 && b !== 0),
);

export const equal = (a: Operand, b: Operand): Tensor => binary(equalOp, a, b, 'bool');
export const greater = (a: Operand, b: Operand): Tensor => binary(greaterOp, a, b, 'bool');
export const greaterOrEqual = (a: Operand, b: Operand): Tensor => binary(greaterOrEqualOp, a, b, 'bool');
export const less = (a: Operand, b: Operand): Tensor => binary(lessOp, a, b, 'bool');
export const lessOrEqual = (a: Operand, b: Operand): Tensor => binary(lessOrEqualOp, a, b, 'bool');
export const logicalAnd = (a: Tensor, b: Tensor): Tensor => binary(andOp, a, b, 'bool');

const notOp = defineOp({
  type: 'Not',
  reference: ([x]) => [{ shape: x!.shape, data: x!.data.map((value) => (value === 0 ? 1 : 0)) }],
});

export const not = (x: Tensor): Tensor => unary(notOp, x);

const negOp = unaryOp(
  'Neg',
  (x) => -x,
  (dy) => neg(dy),
);
const expOp = unaryOp('Exp', Math.exp, (dy, _x, y) => mul(dy, y));
const logOp = unaryOp('Log', Math.log, (dy, x) => div(dy, x));
const sqrtOp = unaryOp('Sqrt', Math.sqrt, (dy, _x, y) => div(mul(dy, 0.5), y));
const reciprocalOp = unaryOp(
  'Reciprocal',
  (x) => 1 / x,
  (dy, _x, y) => neg(mul(dy, mul(y, y))),
);
const sigmoidOp = unaryOp(
  'Sigmoid',
  (x) => 1 / (1 + Math.exp(-x)),
  (dy, _x, y) => mul(dy, mul(y, sub(1, y))),
);
const tanhOp = unaryOp('Tanh', Math.tanh, (dy, _x, y) => mul(dy, sub(1, mul(y, y))));
const absOp = unaryOp('Abs', Math.abs, (dy, x) => mul(dy, unary(signOp, x)));
const signOp = defineOp({
  type: 'Sign',
  reference: ([x]) => [{ shape: x!.shape, data: x!.data.map(Math.sign) }],
});

export const neg = (x: Tensor): Tensor => unary(negOp, x);
export const exp = (x: Tensor): Tensor => unary(expOp, x);
export const log = (x: Tensor): Tensor => unary(logOp, x);
export const sqrt = (x: Tensor): Tensor => unary(sqrtOp, x);
export const reciprocal = (x: Tensor): Tensor => unary(reciprocalOp, x);
export const sigmoid = (x: Tensor): Tensor => unary(sigmoidOp, x);
export const tanh = (x: Tensor): Tensor => unary(tanhOp, x);
export const abs = (x: Tensor): Tensor => unary(absOp, x);
/** x * sigmoid(x). @see https://arxiv.org/abs/1606.08415 */
export const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));

const clipOp = defineOp({
  type: 'Clip',
  reference: ([x, low, high]) => [
    {
      shape: x!.shape,
      data: x!.data.map((value) => Math.min(Math.max(value, low!.data[0]!), high!.data[0]!)),
    },
  ],
  gradient: (node, dy) => {
    const [x, low, high] = [inputOf(node, 0), inputOf(node, 1), inputOf(node, 2)];
    return [where(logicalAnd(greaterOrEqual(x, low), lessOrEqual(x, high)), dy, 0), null, null];
  },
});

/** `x` limited to [low, high]; no gradient flows where it is outside. */
export function clip(x: Tensor, low: number, high: number): Tensor {
  return x.graph.apply(clipOp, [x, lift(low, x), lift(high, x)], [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

const whereOp = defineOp({
  type: 'Where',
  reference: (inputs) => mapValues(inputs, (condition, a, b) => (condition !== 0 ? a! : b!)),
  gradient: (node, dy, wanted) => {
    const [condition, a, b] = [inputOf(node, 0), inputOf(node, 1), inputOf(node, 2)];
    return [
      null,
      wanted(1) ? unbroadcast(where(condition, dy, 0), a.shape) : null,
      wanted(2) ? unbroadcast(where(condition, 0, dy), b.shape) : null,
    ];
  },
});

/** Elements of `a` where the condition holds, of `b` elsewhere. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const like = typeof a === 'number' ? b : a;
  if (typeof like === 'number') throw shapeError('where', 'needs a tensor', [condition.shape]);
  const [x, y] = [lift(a, like), lift(b, like)];
  const shape = broadcastShapes('where', condition.shape, broadcastShapes('where', x.shape, y.shape));
  return innermost([condition, x, y]).apply(whereOp, [condition, x, y], [{ dtype: x.dtype, shape }])[0]!;
}

const ONNX_DTYPE = { float32: 1, int64: 7, bool: 9 } as const;

const castOp = defineOp({
  type: 'Cast',
  reference: ([x], { to }) => [
    {
      shape: x!.shape,
      data: x!.data.map((value) =>
        to === ONNX_DTYPE.bool ? Number(value !== 0) : to === ONNX_DTYPE.int64 ? Math.trunc(value) : value,
      ),
    },
  ],
});

/** `x` in another dtype. No gradient. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  return x.graph.apply(castOp, [x], [{ dtype, shape: x.shape }], { to: ONNX_DTYPE[dtype] })[0]!;
}

const stopOp = defineOp({ type: 'Identity', reference: ([x]) => [x!] });

/** `x`, through which no gradient flows. */
export function stopGradient(x: Tensor): Tensor {
  return unary(stopOp, x);
}
