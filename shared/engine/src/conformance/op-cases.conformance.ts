import {
  abs,
  add,
  cast,
  clip,
  concat,
  div,
  exp,
  gather,
  gatherElements,
  gatherRows,
  Graph,
  greater,
  linearLogprobs,
  linearLogprobsOf,
  log,
  logSoftmax,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  pad,
  pow,
  recompute,
  reciprocal,
  reduceMax,
  reshape,
  rmsNorm,
  sigmoid,
  silu,
  slice,
  softmax,
  spreadRows,
  sqrt,
  stopGradient,
  sub,
  sum,
  swapHalves,
  tanh,
  transpose,
  where,
  type Dim,
  type Tensor,
} from '@forge/graph';

/** A function whose values and gradient every engine must give. */
export interface OpCase {
  name: string;
  /** Shapes of the float inputs. */
  shapes: number[][];
  /** Symbolic forms of them, to show that the rule does not need to know the sizes. */
  symbolic?: Dim[][];
  /** An int64 input and its symbolic length. */
  ids?: { values: number[]; symbol: Dim };
  build: (inputs: Tensor[], graph: Graph, ids: Tensor) => Tensor;
  signed?: boolean;
}

/** Constant indices. */
const indices = (graph: Graph, values: number[], shape = [values.length]): Tensor =>
  graph.constant(values, shape, 'int64');

/** Five tokens of three hidden values, of a vocabulary of four. */
const HEAD = {
  shapes: [
    [5, 3],
    [4, 3],
  ],
  symbolic: [
    ['N', 3],
    [4, 3],
  ],
  signed: true,
  ids: { values: [0, 3, 1, 1, 2], symbol: 'N' },
};

export const OP_CASES: readonly OpCase[] = [
  {
    name: 'add with broadcasting',
    shapes: [[2, 3], [3]],
    symbolic: [['B', 3], [3]],
    build: ([a, b]) => add(a!, b!),
  },
  {
    name: 'sub of a column',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    symbolic: [
      ['B', 'T'],
      ['B', 1],
    ],
    build: ([a, b]) => sub(a!, b!),
  },
  {
    name: 'mul with broadcasting both ways',
    shapes: [
      [2, 1],
      [1, 3],
    ],
    symbolic: [
      ['B', 1],
      [1, 'T'],
    ],
    build: ([a, b]) => mul(a!, b!),
  },
  { name: 'mul of a tensor with itself', shapes: [[4]], build: ([a]) => mul(a!, a!) },
  { name: 'div', shapes: [[2, 3], [3]], build: ([a, b]) => div(a!, b!) },
  { name: 'minimum', shapes: [[5], [5]], build: ([a, b]) => minimum(a!, b!) },
  { name: 'maximum', shapes: [[5], [5]], build: ([a, b]) => maximum(a!, b!) },
  { name: 'pow', shapes: [[5]], build: ([a]) => pow(a!, 3) },
  {
    name: 'pow with respect to the exponent',
    shapes: [[2, 3], [3]],
    build: ([a, b]) => pow(a!, b!),
  },
  { name: 'neg', shapes: [[5]], build: ([a]) => neg(a!) },
  { name: 'exp', shapes: [[5]], build: ([a]) => exp(a!) },
  { name: 'log', shapes: [[5]], build: ([a]) => log(a!) },
  { name: 'sqrt', shapes: [[5]], build: ([a]) => sqrt(a!) },
  { name: 'reciprocal', shapes: [[5]], build: ([a]) => reciprocal(a!) },
  { name: 'sigmoid', shapes: [[5]], signed: true, build: ([a]) => sigmoid(a!) },
  { name: 'tanh', shapes: [[5]], signed: true, build: ([a]) => tanh(a!) },
  { name: 'abs', shapes: [[5]], signed: true, build: ([a]) => abs(a!) },
  { name: 'silu', shapes: [[5]], signed: true, build: ([a]) => silu(a!) },
  { name: 'clip', shapes: [[7]], build: ([a]) => clip(a!, 0.4, 0.8) },
  { name: 'where', shapes: [[2, 3], [3]], build: ([a, b]) => where(greater(a!, 0.5), a!, b!) },
  { name: 'a mask made by cast', shapes: [[6]], build: ([a]) => mul(a!, cast(greater(a!, 0.5), 'float32')) },
  { name: 'stopGradient', shapes: [[4]], build: ([a]) => mul(a!, stopGradient(exp(a!))) },
  {
    name: 'sum without kept axes',
    shapes: [[2, 3, 4]],
    symbolic: [['B', 3, 'T']],
    build: ([a]) => sum(a!, [0, 2]),
  },
  { name: 'sum with kept axes', shapes: [[2, 3, 4]], build: ([a]) => sum(a!, [1], { keepDims: true }) },
  {
    name: 'mean without kept axes',
    shapes: [[2, 3, 4]],
    symbolic: [['B', 3, 'T']],
    build: ([a]) => mean(a!, [0, 1]),
  },
  { name: 'mean of all', shapes: [[2, 3]], symbolic: [['B', 'T']], build: ([a]) => mean(a!) },
  { name: 'reduceMax', shapes: [[3, 4]], build: ([a]) => reduceMax(a!, [1]) },
  {
    name: 'matmul of matrices',
    shapes: [
      [2, 3],
      [3, 4],
    ],
    build: ([a, b]) => matmul(a!, b!),
  },
  {
    name: 'matmul with one matrix for all rows',
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
    symbolic: [
      ['B', 'T', 4],
      [4, 5],
    ],
    build: ([a, b]) => matmul(a!, b!),
  },
  {
    name: 'matmul with a transposed matrix for all rows',
    shapes: [
      [2, 3, 4],
      [5, 4],
    ],
    symbolic: [
      ['B', 'T', 4],
      [5, 4],
    ],
    build: ([a, b]) => matmul(a!, b!, { transposeB: true }),
  },
  {
    name: 'matmul in batches',
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 5, 2],
    ],
    symbolic: [
      ['B', 3, 'T', 5],
      ['B', 3, 5, 2],
    ],
    build: ([a, b]) => matmul(a!, b!),
  },
  {
    name: 'matmul with broadcast batches',
    shapes: [
      [2, 3, 4, 5],
      [2, 1, 5, 2],
    ],
    build: ([a, b]) => matmul(a!, b!),
  },
  {
    name: 'matmul in batches, both transposed',
    shapes: [
      [2, 5, 4],
      [2, 3, 5],
    ],
    build: ([a, b]) => matmul(a!, b!, { transposeA: true, transposeB: true }),
  },
  {
    name: 'matmul in batches, a transposed',
    shapes: [
      [2, 5, 4],
      [2, 5, 3],
    ],
    build: ([a, b]) => matmul(a!, b!, { transposeA: true }),
  },
  { name: 'reshape', shapes: [[2, 6]], symbolic: [['B', 6]], build: ([a]) => exp(reshape(a!, [-1, 3])) },
  {
    name: 'reshape of merged symbols and back',
    shapes: [[2, 3, 4]],
    symbolic: [['B', 'T', 4]],
    build: ([a]) => mul(reshape(exp(reshape(a!, [-1, 4])), [a!.shape[0]!, a!.shape[1]!, 2, 2]), 2),
  },
  {
    name: 'transpose',
    shapes: [[2, 3, 4]],
    symbolic: [['B', 'T', 4]],
    build: ([a]) => exp(transpose(a!, [2, 0, 1])),
  },
  {
    name: 'concat',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    symbolic: [
      ['B', 3],
      ['B', 1],
    ],
    build: ([a, b]) => exp(concat([a!, b!], 1)),
  },
  { name: 'slice', shapes: [[2, 5]], symbolic: [['B', 5]], build: ([a]) => exp(slice(a!, 1, 1, 4)) },
  { name: 'swapHalves', shapes: [[2, 6]], symbolic: [['B', 6]], build: ([a]) => exp(swapHalves(a!)) },
  { name: 'pad', shapes: [[2, 3]], build: ([a]) => exp(pad(a!, 1, 1, 2)) },
  {
    name: 'gather with repeated indices',
    shapes: [[4, 3]],
    build: ([a], graph) => exp(gather(a!, indices(graph, [2, 0, 2, 2], [2, 2]))),
  },
  {
    name: 'gatherElements',
    shapes: [[3, 4]],
    build: ([a], graph) => exp(gatherElements(a!, indices(graph, [3, 0, 2], [3, 1]))),
  },
  {
    name: 'gatherRows',
    shapes: [[4, 2]],
    symbolic: [['R', 2]],
    ids: { values: [2, 1, 2, 0], symbol: 'R' },
    build: ([a], graph, ids) => exp(gatherRows(a!, indices(graph, [3, 1]), ids)),
  },
  {
    name: 'spreadRows',
    shapes: [[2]],
    symbolic: [['N']],
    build: ([a], graph) => exp(spreadRows(a!, indices(graph, [2, 1, 2, 0], [2, 2]), indices(graph, [3, 1]))),
  },
  { name: 'softmax', shapes: [[2, 4]], signed: true, build: ([a]) => softmax(a!) },
  { name: 'logSoftmax', shapes: [[2, 4]], signed: true, build: ([a]) => logSoftmax(a!) },
  {
    name: 'rmsNorm',
    shapes: [[2, 3, 4], [4]],
    symbolic: [['B', 'T', 4], [4]],
    signed: true,
    build: ([a, w]) => rmsNorm(a!, w!, 1e-5),
  },
  {
    name: 'recompute',
    shapes: [
      [2, 3],
      [3, 3],
    ],
    build: ([a, w]) => recompute(([x, m]) => [tanh(matmul(x!, m!))], [exp(a!), w!])[0]!,
  },
  {
    name: 'linearLogprobs in uneven chunks',
    ...HEAD,
    build: ([x, w], _, ids) => linearLogprobs(x!, w!, ids, { chunk: 2, temperature: 0.7 }).logprobs,
  },
  {
    name: 'linearLogprobs that keeps the logits',
    ...HEAD,
    build: ([x, w], _, ids) =>
      linearLogprobs(x!, w!, ids, { chunk: 2, temperature: 0.7, keep: true }).logprobs,
  },
  {
    name: 'the entropy of linearLogprobs in uneven chunks',
    ...HEAD,
    build: ([x, w], _, ids) => linearLogprobs(x!, w!, ids, { chunk: 2, temperature: 0.7 }).entropy,
  },
  {
    name: 'log-probs and entropy of linearLogprobs in uneven chunks',
    ...HEAD,
    build: ([x, w], _, ids) => {
      const { logprobs, entropy } = linearLogprobs(x!, w!, ids, { chunk: 2, temperature: 0.7 });
      return add(logprobs, mul(entropy, 0.3));
    },
  },
  {
    name: 'log-probs and entropy of linearLogprobs that keeps the logits',
    ...HEAD,
    build: ([x, w], _, ids) => {
      const options = { chunk: 2, temperature: 0.7, keep: true };
      const { logprobs, entropy } = linearLogprobs(x!, w!, ids, options);
      return add(logprobs, mul(entropy, 0.3));
    },
  },
  {
    name: 'linearLogprobsOf in uneven chunks',
    ...HEAD,
    build: ([x, w], graph) => {
      const ids = reshape(indices(graph, [0, 3, 1, 2, 2, 0, 3, 1, 0, 2]), [5, 2]);
      return linearLogprobsOf(x!, w!, ids, { chunk: 2, temperature: 0.7 });
    },
  },
  {
    name: 'linearLogprobs in one chunk',
    shapes: [
      [5, 3],
      [4, 3],
    ],
    signed: true,
    build: ([x, w], graph) => linearLogprobs(x!, w!, indices(graph, [0, 3, 1, 1, 2]), { chunk: 64 }).logprobs,
  },
];
