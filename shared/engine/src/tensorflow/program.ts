import { ForgeError } from '@forge/errors';
import { reachable, type DType, type Tensor } from '@forge/graph';
import {
  isOnDevice,
  type AnyTensor,
  type DeviceTensor,
  type HostTensor,
  type Program,
  type RunOptions,
  type RunOutputs,
} from '../engine';
import { blockOf, type Block } from './lifetimes';
import { LOWERINGS } from './lowerings';
import { Planner, Slots } from './planner';
import { rematerialized } from './rematerialization';
import type { Runtime } from './runtime';
import { clear, runSteps, type Frame, type Slot } from './step';
import type { Value } from './value';

/** Elements of an int64 feed that the host may work with at most. */
const HOST_FEED = 16;

/** A tensor as a handle of TensorFlow. */
export class KeptTensor implements DeviceTensor {
  private isDisposed = false;

  constructor(private readonly held: Value) {}

  get dtype(): DType {
    return this.held.dtype;
  }

  get shape(): readonly number[] {
    return this.held.shape;
  }

  /** @throws {ForgeError} BUG_INVARIANT when it was disposed of, or consumed by a run. */
  get value(): Value {
    if (!this.isDisposed) return this.held;
    throw new ForgeError('BUG_INVARIANT', 'a tensor is used after it was disposed of', {});
  }

  read(): Promise<HostTensor> {
    return Promise.resolve(this.value.read());
  }

  dispose(): void {
    if (!this.isDisposed) this.held.release();
    this.isDisposed = true;
  }
}

/** The steps that compute some of the outputs. */
interface Plan extends Block {
  readonly inputs: readonly { readonly tensor: Tensor; readonly slot: Slot }[];
  readonly outputs: readonly { readonly name: string; readonly slot: Slot }[];
  readonly slots: Slots;
}

/** A graph as raw ops of TensorFlow, in an order fixed once, each result freed after its last use. */
export class TensorflowProgram implements Program {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  private readonly plans = new Map<string, Plan>();
  private readonly constants = new Map<Tensor, Value>();
  private readonly roundedConstants = new Map<Tensor, Value>();

  constructor(
    private readonly runtime: Runtime,
    private readonly outputs: Readonly<Record<string, Tensor>>,
    private readonly kept: ReadonlySet<string>,
    private readonly roundsFactors: boolean,
  ) {
    this.outputNames = Object.keys(outputs);
    this.inputNames = this.planOf(this.outputNames).inputs.map(({ tensor }) => tensor.name);
  }

  async run(feeds: Readonly<Record<string, AnyTensor>>, options: RunOptions = {}): Promise<RunOutputs> {
    const { consumed = [], wanted = this.outputNames } = options;
    const plan = this.planOf(wanted);
    const frame: Frame = plan.slots.constants.slice();
    this.runtime.tidy();
    try {
      for (const { tensor, slot } of plan.inputs) frame[slot] = this.fed(tensor, feeds[tensor.name]);
      for (const name of consumed) (feeds[name] as KeptTensor).dispose();
      runSteps(plan.steps, frame, this.runtime);
      return this.collect(plan, frame);
    } finally {
      frame.forEach((value, slot) => {
        if (value !== undefined && plan.slots.constants[slot] === undefined) clear(frame, slot);
      });
    }
  }

  release(): Promise<void> {
    for (const { steps, slots } of this.plans.values()) {
      for (const step of steps) step.forget?.();
      for (const value of slots.constants) value?.release();
    }
    this.plans.clear();
    for (const held of [this.constants, this.roundedConstants]) {
      for (const value of held.values()) value.release();
      held.clear();
    }
    return Promise.resolve();
  }

  private planOf(wanted: readonly string[]): Plan {
    const key = wanted.join('\n');
    const known = this.plans.get(key);
    if (known !== undefined) return known;
    const made = this.plan(wanted);
    this.plans.set(key, made);
    return made;
  }

  private plan(wanted: readonly string[]): Plan {
    const slots = new Slots(this.runtime, this.constant.bind(this), this.roundsFactors);
    const planner = new Planner(slots, LOWERINGS);
    const targets = wanted.map((name) => this.outputs[name]!);
    const { nodes, inputs: tensors } = reachable(targets);
    const inputs = tensors.map((tensor) => ({
      tensor,
      slot: planner.entry(tensor, tensor.dtype === 'int64' && tensor.rank === 0),
    }));
    planner.plan(nodes);
    const outputs = wanted.map((name, i) => ({ name, slot: planner.at(targets[i]!) }));
    const results = outputs.map(({ slot }) => slot);
    const block = blockOf(
      rematerialized(planner.steps, results),
      results,
      inputs.map(({ slot }) => slot),
    );
    return { ...block, inputs, outputs, slots };
  }

  /** One copy of a constant for all plans. */
  private constant(tensor: Tensor, isRounded: boolean): Value {
    const held = isRounded ? this.roundedConstants : this.constants;
    const { dtype, shape, data } = tensor;
    const host = { dtype, shape: shape as number[], data: data! };
    const value = held.get(tensor) ?? (isRounded ? this.runtime.putRounded(host) : this.runtime.put(host));
    held.set(tensor, value);
    return value.hold();
  }

  private fed(tensor: Tensor, feed: AnyTensor | undefined): Value {
    checkFeed(tensor, feed);
    if (isOnDevice(feed)) return (feed as KeptTensor).value.hold();
    const isSmall = feed.dtype === 'int64' ? feed.data.length <= HOST_FEED : feed.shape.length === 0;
    if (!isSmall) return this.runtime.put(feed);
    const numbers = Float64Array.from(feed.data as ArrayLike<number | bigint>, Number);
    return this.runtime.known(feed.dtype, feed.shape, numbers);
  }

  private collect({ outputs }: Plan, frame: Frame): RunOutputs {
    const found: RunOutputs = { host: {}, kept: {} };
    // Read first: should the host have no room for one, nothing is kept.
    for (const { name, slot } of outputs) if (!this.kept.has(name)) found.host[name] = frame[slot]!.read();
    for (const { name, slot } of outputs)
      if (this.kept.has(name)) found.kept[name] = new KeptTensor(frame[slot]!.hold());
    return found;
  }
}

function checkFeed({ name, dtype, shape }: Tensor, feed: AnyTensor | undefined): asserts feed is AnyTensor {
  if (feed === undefined) throw new ForgeError('SHAPE_MISMATCH', `no value for the input ${name}`, { name });
  const fits =
    feed.dtype === dtype &&
    feed.shape.length === shape.length &&
    shape.every((dim, i) => typeof dim !== 'number' || dim === feed.shape[i]);
  if (fits) return;
  const message = `input ${name}: expected ${dtype} [${shape.join(', ')}], found ${feed.dtype} [${feed.shape.join(', ')}]`;
  throw new ForgeError('SHAPE_MISMATCH', message, { name });
}
