export type { Dim } from './dim';
export {
  Graph,
  Tensor,
  type Attribute,
  type Attributes,
  type DType,
  type LoopBody,
  type Node,
  type Operand,
} from './graph';
export type { Values } from './op';
export {
  abs,
  add,
  cast,
  clip,
  div,
  equal,
  exp,
  greater,
  greaterOrEqual,
  less,
  lessOrEqual,
  log,
  logicalAnd,
  maximum,
  maximum as max,
  minimum,
  minimum as min,
  mul,
  neg,
  not,
  pow,
  reciprocal,
  sigmoid,
  silu,
  sqrt,
  stopGradient,
  sub,
  tanh,
  where,
} from './elementwise';
export { maskedMean, maskedSum, mean, reduceMax } from './reductions';
export { sum, type ReductionOptions } from './sum';
export { matmul, type MatmulOptions } from './matmul';
export {
  concat,
  dimTensor,
  expand,
  fill,
  pad,
  reshape,
  shapeOf,
  shapeTensor,
  slice,
  sliceBetween,
  transpose,
  zeros,
} from './layout';
export { argmax, cumsum, gather, gatherElements, range, topK } from './indexing';
export { logSoftmax, rmsNorm, softmax } from './normalization';
export { swapHalves } from './halves';
export { gatherRows, spreadRows } from './rows';
export { inside, loop, type LoopOptions } from './loop';
export { recompute } from './recompute';
export { crossEntropy } from './cross-entropy';
export { linearLogprobs, type LinearLogprobsOptions } from './linear-logprobs';
export { linearLogprobsOf, topLinearLogprobs } from './top-logprobs';
export { dependence, grad } from './gradient';
export { captured, isBody, reachable, reachableInside } from './reachable';
export { evaluate, type Application } from './evaluate';
export { adamW, adamWNumbers, type AdamWConstants, type AdamWInputs, type AdamWOutputs } from './adamw';
