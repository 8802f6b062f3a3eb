import { ForgeError } from '@forge/errors';
import type { DType, Node, Tensor } from '@forge/graph';
import type { OpAttribute } from './binding';
import type { Runtime } from './runtime';
import { HostStep, OpStep, RememberedStep, type Argument, type Slot, type Step } from './step';
import type { Value } from './value';

/** Gives the slots of a node's outputs, adding the steps that fill them. */
export type Lowering = (node: Node, planner: Planner) => readonly Slot[];

/** A result that depends on constants and lengths alone, or on what the host knows. */
interface Knowledge {
  /** The numbers are known on the host. */
  isOnHost: boolean;
  /** The same from run to run while the lengths are. */
  isSteady: boolean;
}

const UNKNOWN: Knowledge = { isOnHost: false, isSteady: false };
/** Elements of an int64 constant that the host works with at most. */
const HOST_CONSTANT = 16;

/** Slots and constants of one program. */
export class Slots {
  /** Constants by slot; empty elsewhere. */
  readonly constants: (Value | undefined)[] = [];
  private readonly scalars = new Map<string, Slot>();

  constructor(
    readonly runtime: Runtime,
    private readonly shared: (tensor: Tensor, isRounded: boolean) => Value,
    /** Whether products are of factors converted to bfloat16, and rounded to it. */
    readonly roundsFactors: boolean,
  ) {}

  fresh(): Slot {
    return this.constants.push(undefined) - 1;
  }

  constant(tensor: Tensor): Slot {
    const isSmall = tensor.dtype === 'int64' && tensor.data!.length <= HOST_CONSTANT;
    return this.fix(isSmall ? this.numbers(tensor) : this.shared(tensor, false));
  }

  /** The constant in bfloat16. */
  rounded(tensor: Tensor): Slot {
    return this.fix(this.shared(tensor, true));
  }

  scalar(value: number, dtype: DType): Slot {
    const key = `${dtype} ${value}`;
    const slot = this.scalars.get(key) ?? this.fix(this.runtime.known(dtype, [], Float64Array.of(value)));
    this.scalars.set(key, slot);
    return slot;
  }

  private numbers({ dtype, shape, data }: Tensor): Value {
    const numbers = Float64Array.from(data as ArrayLike<number | bigint>, Number);
    return this.runtime.known(dtype, shape as number[], numbers);
  }

  private fix(value: Value): Slot {
    return this.constants.push(value) - 1;
  }
}

/** Turns nodes into steps, in a graph or, with a `parent`, in the body of a loop. */
export class Planner {
  readonly steps: Step[] = [];
  private readonly places = new Map<Tensor, Slot>();
  private readonly roundedConstants = new Map<Tensor, Slot>();
  private readonly knowledge = new Map<Slot, Knowledge>();
  private readonly made = new Map<string, readonly Slot[]>();

  constructor(
    readonly slots: Slots,
    private readonly lowerings: ReadonlyMap<string, Lowering>,
    private readonly parent: Planner | null = null,
  ) {}

  /** A planner for the body of a loop, which sees the values around it. */
  inside(): Planner {
    return new Planner(this.slots, this.lowerings, this);
  }

  /** Plans nodes in the order they were made: a gradient stands beside what it is made of, which is freed at once. */
  plan(nodes: readonly Node[]): void {
    for (const node of [...nodes].sort((a, b) => a.index - b.index)) {
      if (node.outputs.every((y) => this.find(y) !== undefined)) continue;
      const slots = this.onHost(node) ?? this.lower(node);
      node.outputs.forEach((y, i) => this.places.set(y, slots[i]!));
    }
  }

  /** A place for a tensor that comes from outside of the steps. */
  entry(tensor: Tensor, isOnHost = false): Slot {
    const slot = this.slots.fresh();
    this.places.set(tensor, slot);
    this.knowledge.set(slot, { isOnHost, isSteady: false });
    return slot;
  }

  at(tensor: Tensor): Slot {
    const known = this.find(tensor);
    if (known !== undefined) return known;
    if (tensor.data === null) {
      throw new ForgeError('BUG_INVARIANT', `${tensor.name} is used before it is computed`, {});
    }
    return this.root().fixed(tensor);
  }

  /** A constant as bfloat16, which is all that is held of it unless it is used otherwise as well. */
  rounded(tensor: Tensor): Slot {
    if (this.parent !== null) return this.parent.rounded(tensor);
    const slot = this.roundedConstants.get(tensor) ?? this.slots.rounded(tensor);
    this.roundedConstants.set(tensor, slot);
    this.knowledge.set(slot, { isOnHost: false, isSteady: true });
    return slot;
  }

  /** The planner that the slot comes from: this one, or one around it. */
  ownerOf(slot: Slot): Planner {
    return this.parent === null || this.knowledge.has(slot) ? this : this.parent.ownerOf(slot);
  }

  input(node: Node, i: number): Slot {
    return this.at(node.inputs[i]!);
  }

  scalar(value: number, dtype: DType = 'float32'): Slot {
    const slot = this.slots.scalar(value, dtype);
    this.root().knowledge.set(slot, { isOnHost: true, isSteady: true });
    return slot;
  }

  /** The results of an op of TensorFlow; the same op on the same values is one. */
  ops(
    name: string,
    attributes: readonly OpAttribute[],
    args: readonly Argument[],
    count: number,
  ): readonly Slot[] {
    const key = `${name} ${JSON.stringify(attributes)} ${args.map(argumentKey).join(' ')}`;
    const known = this.findMade(key);
    if (known !== undefined) return known;
    const outputs = Array.from({ length: count }, () => this.slots.fresh());
    const step = new OpStep(name, attributes, args, outputs);
    const isSteady = step.inputs.every((slot) => this.know(slot).isSteady);
    for (const slot of outputs) this.knowledge.set(slot, { isOnHost: false, isSteady });
    this.steps.push(isSteady ? new RememberedStep(step) : step);
    this.made.set(key, outputs);
    return outputs;
  }

  op(name: string, attributes: readonly OpAttribute[], args: readonly Argument[]): Slot {
    return this.ops(name, attributes, args, 1)[0]!;
  }

  add(step: Step): void {
    this.steps.push(step);
  }

  know(slot: Slot): Knowledge {
    return this.knowledge.get(slot) ?? this.parent?.know(slot) ?? UNKNOWN;
  }

  private lower(node: Node): readonly Slot[] {
    const lowering = this.lowerings.get(node.op.type);
    if (lowering !== undefined) return lowering(node, this);
    throw new ForgeError('BUG_INVARIANT', `${node.op.type} has no counterpart in TensorFlow`, {
      op: node.op.type,
    });
  }

  /** Arithmetic of lengths is done by the host; null for all else. */
  private onHost(node: Node): readonly Slot[] | null {
    if (node.op.type === 'Shape') return this.lengthsOf(node);
    const [y, ...others] = node.outputs;
    const isSmall =
      y!.dtype === 'int64' && y!.shape.every((dim) => typeof dim === 'number' && dim <= HOST_CONSTANT);
    if (!isSmall || y!.rank > 1 || others.length > 0 || node.inputs.includes(null)) return null;
    const inputs = node.inputs.map((x) => this.at(x!));
    if (!inputs.every((slot) => this.know(slot).isOnHost)) return null;
    const compute = (values: readonly Value[], runtime: Runtime): Value => {
      const operands = values.map((value) => ({ shape: value.shape, data: value.host() }));
      const { shape, data } = node.op.reference(operands, node.attributes)[0]!;
      return runtime.known('int64', shape, data);
    };
    const isSteady = inputs.every((slot) => this.know(slot).isSteady);
    return this.host(`${node.op.type} ${JSON.stringify(node.attributes)}`, inputs, isSteady, compute);
  }

  private lengthsOf(node: Node): readonly Slot[] {
    return this.host('Shape', [this.input(node, 0)], true, ([x], runtime) =>
      runtime.known('int64', [x!.shape.length], Float64Array.from(x!.shape)),
    );
  }

  private host(
    name: string,
    inputs: readonly Slot[],
    isSteady: boolean,
    compute: (values: readonly Value[], runtime: Runtime) => Value,
  ): readonly Slot[] {
    const key = `host ${name} ${inputs.join(' ')}`;
    const known = this.findMade(key);
    if (known !== undefined) return known;
    const output = this.slots.fresh();
    this.knowledge.set(output, { isOnHost: true, isSteady });
    this.steps.push(new HostStep(inputs, [output], compute));
    this.made.set(key, [output]);
    return [output];
  }

  private fixed(tensor: Tensor): Slot {
    const slot = this.slots.constant(tensor);
    this.places.set(tensor, slot);
    this.knowledge.set(slot, { isOnHost: this.slots.constants[slot]!.isOnHost, isSteady: true });
    return slot;
  }

  private root(): Planner {
    return this.parent?.root() ?? this;
  }

  private find(tensor: Tensor): Slot | undefined {
    return this.places.get(tensor) ?? this.parent?.find(tensor);
  }

  private findMade(key: string): readonly Slot[] | undefined {
    return this.made.get(key) ?? this.parent?.findMade(key);
  }
}

const argumentKey = (arg: Argument): string =>
  typeof arg === 'number' ? `${arg}` : `{${arg.name} ${arg.from.join(' ')}}`;
