import { ForgeError } from '@forge/errors';
import { dimFactors, productOf, shapeError, shapeText, type Dim } from './dim';
import type { Op } from './op';

export type DType = 'float32' | 'int64' | 'bool';
export type ConstantData = Float32Array | BigInt64Array | Uint8Array;
export type Attribute =
  number | string | readonly number[] | { readonly float: number } | LoopBody | { readonly constant: Tensor };
export type Attributes = Readonly<Record<string, Attribute>>;

/** The body of a loop: a graph with the inputs counter, condition and state, and the outputs condition, state and scans. */
export interface LoopBody {
  readonly body: Graph;
  readonly outputs: readonly Tensor[];
}

/** One application of an op. */
export interface Node {
  readonly op: Op;
  /** null stands for an optional input that is left out. */
  readonly inputs: readonly (Tensor | null)[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly graph: Graph;
  /** Its place in the order in which nodes were made, which is one in which they can run. */
  readonly index: number;
}

/** A stretch of nodes that is differentiated as one, by a rule of its own. */
export interface Composite {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The gradients of the inputs that are wanted, by index, from those of the outputs; null stands for zero. */
  readonly gradient: (
    outputGradients: readonly (Tensor | null)[],
    wanted: (input: number) => boolean,
  ) => readonly (Tensor | null)[];
}

/** A value of the graph; it exists only when the graph runs. */
export class Tensor {
  constructor(
    readonly graph: Graph,
    readonly name: string,
    readonly dtype: DType,
    readonly shape: readonly Dim[],
    /** The node that computes it; null for inputs and constants. */
    readonly node: Node | null,
    /** The value of a constant. */
    readonly data: ConstantData | null = null,
  ) {}

  get rank(): number {
    return this.shape.length;
  }
}

export type Operand = Tensor | number;

interface DimSource {
  tensor: Tensor;
  axis: number;
}

/**
 * A graph of tensors. Building it computes nothing: an engine compiles it to a program, `grad` adds
 * the nodes of the backward pass. A loop body is a graph of its own that may use the tensors around it.
 */
export class Graph {
  readonly inputs: Tensor[] = [];
  /** Nodes and composites in the order they were made: an order in which they can run. */
  readonly tape: (Node | Composite)[] = [];
  readonly depth: number;
  private readonly root: Graph;
  private readonly dims = new Map<string, DimSource>();
  private readonly constants = new Map<string, Tensor>();
  private count = 0;
  private nodes = 0;

  constructor(readonly parent: Graph | null = null) {
    this.root = parent?.root ?? this;
    this.depth = parent === null ? 0 : parent.depth + 1;
  }

  /** A value given at every run. Symbols in its shape become known to the graph. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Tensor {
    const tensor = new Tensor(this, name, dtype, shape, null);
    this.inputs.push(tensor);
    this.learnDims(tensor);
    return tensor;
  }

  /** A value known now. Equal small ones are one tensor. */
  constant(
    data: ConstantData | readonly number[],
    shape: readonly number[],
    dtype: DType = 'float32',
  ): Tensor {
    if (this.root !== this) return this.root.constant(data, shape, dtype);
    const typed = typedData(data, dtype);
    if (typed.length !== productOf(shape)) {
      throw shapeError('constant', `holds ${typed.length} values`, [shape]);
    }
    const key = typed.length <= 16 ? `${dtype}${shapeText(shape)}${typed.join()}` : null;
    const known = key === null ? undefined : this.constants.get(key);
    if (known !== undefined) return known;
    const tensor = new Tensor(this, this.freshName('constant'), dtype, shape, null, typed);
    if (key !== null) this.constants.set(key, tensor);
    return tensor;
  }

  /** A named constant that shares the memory of `data`: weights baked into the model. */
  weight(name: string, data: Float32Array, shape: readonly number[]): Tensor {
    if (data.length !== productOf(shape))
      throw shapeError(`weight ${name}`, `holds ${data.length} values`, [shape]);
    return new Tensor(this.root, name, 'float32', shape, null, data);
  }

  scalar(value: number, dtype: DType = 'float32'): Tensor {
    return this.constant([value], [], dtype);
  }

  /** Applies `op`; used by the op functions. */
  apply(
    op: Op,
    inputs: readonly (Tensor | null)[],
    outputs: readonly { dtype: DType; shape: readonly Dim[] }[],
    attributes: Attributes = {},
  ): Tensor[] {
    const made: Tensor[] = [];
    const index = this.root.nodes++;
    const node: Node = { op, inputs, outputs: made, attributes, graph: this, index };
    for (const { dtype, shape } of outputs)
      made.push(new Tensor(this, this.freshName(op.type), dtype, shape, node));
    this.tape.push(node);
    for (const tensor of made) this.learnDims(tensor);
    return made;
  }

  /** A tensor one of whose axes is as long as `symbol`. */
  dimSource(symbol: string): DimSource {
    const source = this.dims.get(symbol) ?? this.parent?.dimSource(symbol);
    if (source !== undefined) return source;
    throw new ForgeError('SHAPE_MISMATCH', `the dimension ${symbol} is that of no tensor of the graph`, {
      symbol,
    });
  }

  knowsDim(symbol: string): boolean {
    return this.dims.has(symbol) || (this.parent?.knowsDim(symbol) ?? false);
  }

  freshName(prefix: string): string {
    return `${prefix}_${this.root.count++}`;
  }

  private learnDims(tensor: Tensor): void {
    tensor.shape.forEach((dim, axis) => {
      const { coefficient, symbols } = dimFactors(dim);
      const symbol = symbols[0];
      if (coefficient === 1 && symbols.length === 1 && symbol !== undefined && !this.knowsDim(symbol)) {
        this.dims.set(symbol, { tensor, axis });
      }
    });
  }
}

function typedData(data: ConstantData | readonly number[], dtype: DType): ConstantData {
  if (ArrayBuffer.isView(data)) return data as ConstantData;
  switch (dtype) {
    case 'float32':
      return Float32Array.from(data);
    case 'int64':
      return BigInt64Array.from(data, (x) => BigInt(x));
    case 'bool':
      return Uint8Array.from(data);
  }
}

/** The graph an op on these tensors belongs to: the innermost of theirs. */
export function innermost(tensors: readonly Tensor[]): Graph {
  let graph = tensors[0]!.graph;
  for (const tensor of tensors) if (tensor.graph.depth > graph.depth) graph = tensor.graph;
  return graph;
}

/** The operand as a tensor; a number becomes a scalar of the dtype of `like`. */
export function lift(operand: Operand, like: Tensor): Tensor {
  return typeof operand === 'number' ? like.graph.scalar(operand, like.dtype) : operand;
}
