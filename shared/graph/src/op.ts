import { ForgeError } from '@forge/errors';
import type { Attributes, Node, Tensor } from './graph';

/** A concrete array of the reference interpreter: float64 whatever the dtype, row-major. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * An operation: its ONNX name, its gradient and its slow, obvious definition. The shape rule stands in the function
 * that applies it.
 */
export interface Op {
  readonly type: string;
  /** ONNX operator set; '' is the standard one. */
  readonly domain: string;
  /**
   * The gradients of the inputs from that of the first output; null where no gradient flows. `wanted(i)` says whether
   * the gradient of input i is used at all. Left out for ops through which no gradient flows.
   */
  readonly gradient?: (
    node: Node,
    outputGradient: Tensor,
    wanted: (input: number) => boolean,
  ) => readonly (Tensor | null)[];
  /** The same outputs by other ops, for engines that have none of this kind. */
  readonly expand?: (node: Node) => readonly Tensor[];
  /** The values that the op computes, in float64. */
  readonly reference: (inputs: readonly (Values | null)[], attributes: Attributes) => readonly Values[];
}

export function defineOp(op: Omit<Op, 'domain'> & { domain?: string }): Op {
  return { domain: '', ...op };
}

/** The i-th input, which the op always has. */
export function inputOf(node: Node, i: number): Tensor {
  const tensor = node.inputs[i];
  if (tensor) return tensor;
  throw new ForgeError('BUG_INVARIANT', `${node.op.type} has no input ${i}`, { op: node.op.type, input: i });
}
