import { broadcastShapes, shapeError, type Dim } from './dim';
import { innermost, type Tensor } from './graph';
import { defineOp, inputOf, type Values } from './op';
import { unbroadcast } from './elementwise';
import { reshape } from './layout';
import { at, broadcastNumbers, tabulate } from './values';

/** Transposes the last two axes of a concrete array where asked. */
function entry(x: Values, transposed: boolean): (index: readonly number[]) => number {
  return (index) => {
    const [row, column] = [index[index.length - 2]!, index[index.length - 1]!];
    return at(x, transposed ? [...index.slice(0, -2), column, row] : index);
  };
}

const matmulOp = defineOp({
  type: 'FusedMatMul',
  domain: 'com.microsoft',
  gradient: (node, dy, wanted) => {
    const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
    const [ta, tb] = [node.attributes.transA === 1, node.attributes.transB === 1];
    if (b.rank === 2 && a.rank > 2 && !ta) return sharedRightGradient(a, b, tb, dy, wanted);
    const da = (): Tensor =>
      ta ? matmul(b, dy, { transposeA: tb, transposeB: true }) : matmul(dy, b, { transposeB: !tb });
    const db = (): Tensor =>
      tb ? matmul(dy, a, { transposeA: true, transposeB: ta }) : matmul(a, dy, { transposeA: !ta });
    return [wanted(0) ? unbroadcast(da(), a.shape) : null, wanted(1) ? unbroadcast(db(), b.shape) : null];
  },
  reference: ([a, b], { transA, transB }) => {
    const [x, y] = [entry(a!, transA === 1), entry(b!, transB === 1)];
    const [rows, inner] = a!.shape.slice(-2) as [number, number];
    const [m, k] = transA === 1 ? [inner, rows] : [rows, inner];
    const n = b!.shape.at(transB === 1 ? -2 : -1)!;
    const batch = broadcastNumbers([a!.shape.slice(0, -2), b!.shape.slice(0, -2), [1]]);
    const shape = [...batch.slice(batch.length - Math.max(a!.shape.length, b!.shape.length) + 2), m, n];
    return [
      tabulate(shape, (index) => {
        const lead = index.slice(0, -2);
        let total = 0;
        for (let i = 0; i < k; i++) total += x([...lead, index.at(-2)!, i]) * y([...lead, i, index.at(-1)!]);
        return total;
      }),
    ];
  },
});

/** One matrix for all rows of `a`: both gradients are a single product over the flattened rows. */
function sharedRightGradient(
  a: Tensor,
  b: Tensor,
  transposed: boolean,
  dy: Tensor,
  wanted: (input: number) => boolean,
): (Tensor | null)[] {
  const rows = reshape(a, [-1, a.shape.at(-1)!]);
  const outer = reshape(dy, [-1, dy.shape.at(-1)!]);
  return [
    wanted(0) ? matmul(dy, b, { transposeB: !transposed }) : null,
    wanted(1) ? (transposed ? gemmTransposed(outer, rows) : gemmTransposed(rows, outer)) : null,
  ];
}

const gemmOp = defineOp({
  type: 'Gemm',
  reference: ([a, b]) => [
    tabulate([a!.shape[1]!, b!.shape[1]!], ([row, column]) => {
      let total = 0;
      for (let i = 0; i < a!.shape[0]!; i++) total += at(a!, [i, row!]) * at(b!, [i, column!]);
      return total;
    }),
  ],
});

/** aᵀ b of two matrices. */
function gemmTransposed(a: Tensor, b: Tensor): Tensor {
  const shape = [a.shape[1]!, b.shape[1]!];
  return innermost([a, b]).apply(gemmOp, [a, b], [{ dtype: 'float32', shape }], { transA: 1 })[0]!;
}

export interface MatmulOptions {
  /** Use the transpose of the last two axes of `a`. */
  transposeA?: boolean;
  /** Use the transpose of the last two axes of `b`. */
  transposeB?: boolean;
}

/**
 * Matrix product over the last two axes; leading axes are broadcast. A transposed operand costs no copy.
 *
 * Shapes: a [..., M, K], b [..., K, N] -> [..., M, N].
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  if (a.rank < 2 || b.rank < 2) throw shapeError('matmul', 'needs matrices', [a.shape, b.shape]);
  const ends = ({ shape }: Tensor, transposed: boolean): [Dim, Dim] =>
    transposed ? [shape.at(-1)!, shape.at(-2)!] : [shape.at(-2)!, shape.at(-1)!];
  const [m, k] = ends(a, transposeA);
  const [inner, n] = ends(b, transposeB);
  if (k !== inner) throw shapeError('matmul', 'inner dimensions differ', [a.shape, b.shape]);
  const shape = [...broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n];
  const attributes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 };
  return innermost([a, b]).apply(matmulOp, [a, b], [{ dtype: 'float32', shape }], attributes)[0]!;
}
