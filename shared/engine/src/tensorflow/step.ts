import type { OpAttribute } from './binding';
import type { Runtime } from './runtime';
import type { Value } from './value';

/** A place for one value of a run. */
export type Slot = number;

/** The values of one run by slot; a slot holds its value until it is freed. */
export type Frame = (Value | undefined)[];

/** Lengths or axes that an op takes as an int32 tensor: known, or worked out from values of the run. */
export interface Ints {
  readonly from: readonly Slot[];
  readonly give: (...values: Value[]) => readonly number[] | number;
  /** Equal ones name the same numbers where they are worked out from the same slots. */
  readonly name: string;
}

export type Argument = Slot | Ints;

/** Numbers known when the plan is made. */
export const ints = (values: readonly number[] | number): Ints => ({
  from: [],
  give: () => values,
  name: JSON.stringify(values),
});

/** One thing that a run does. */
export interface Step {
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  /** Slots whose last use this is. */
  frees: readonly Slot[];
  run(frame: Frame, runtime: Runtime): void;
  /** Whether it needs the numbers of what the host knows alone, and of all else the shape. */
  readonly isQuick?: true;
  /** Frees what it keeps from one run to the next. */
  forget?(): void;
}

/** Frees a slot, unless the step did so itself. */
export function clear(frame: Frame, slot: Slot): void {
  frame[slot]?.release();
  frame[slot] = undefined;
}

export function runSteps(steps: readonly Step[], frame: Frame, runtime: Runtime): void {
  for (const step of steps) {
    step.run(frame, runtime);
    for (const slot of step.frees) clear(frame, slot);
  }
}

/** Applies an op of TensorFlow. */
export class OpStep implements Step {
  frees: readonly Slot[] = [];
  readonly inputs: readonly Slot[];

  constructor(
    readonly name: string,
    readonly attributes: readonly OpAttribute[],
    readonly args: readonly Argument[],
    readonly outputs: readonly Slot[],
  ) {
    this.inputs = args.flatMap((arg) => (typeof arg === 'number' ? [arg] : arg.from));
  }

  attribute(name: string): OpAttribute['value'] | undefined {
    return this.attributes.find((attribute) => attribute.name === name)?.value;
  }

  /** The same op on the same slots, as another step. */
  again(): OpStep {
    return new OpStep(this.name, this.attributes, this.args, this.outputs);
  }

  run(frame: Frame, runtime: Runtime): void {
    const results = this.compute(frame, runtime);
    for (let i = 0; i < results.length; i++) frame[this.outputs[i]!] = results[i];
  }

  compute(frame: Frame, runtime: Runtime): Value[] {
    const handles = this.args.map((arg) =>
      typeof arg === 'number'
        ? frame[arg]!.handle()
        : runtime.ints(arg.give(...arg.from.map((slot) => frame[slot]!))),
    );
    return runtime.execute(this.name, this.attributes, handles, this.outputs.length);
  }
}

/** Bytes of a result that is kept from one run to the next at most. */
const REMEMBERED_BYTES = 4 * 2 ** 20;

/** An op over constants and lengths: its results stay for the next run with the same lengths. */
export class RememberedStep implements Step {
  frees: readonly Slot[] = [];
  readonly isQuick = true;
  private known: { inputs: Value[]; outputs: Value[] } | null = null;

  constructor(private readonly step: OpStep) {}

  get inputs(): readonly Slot[] {
    return this.step.inputs;
  }

  get outputs(): readonly Slot[] {
    return this.step.outputs;
  }

  run(frame: Frame, runtime: Runtime): void {
    const inputs = this.inputs.map((slot) => frame[slot]!);
    if (this.known === null || !inputs.every((input, i) => isSame(input, this.known!.inputs[i]!))) {
      this.forget();
      const outputs = this.step.compute(frame, runtime);
      if (outputs.reduce((total, { size }) => total + 4 * size, 0) > REMEMBERED_BYTES) {
        this.outputs.forEach((slot, i) => (frame[slot] = outputs[i]));
        return;
      }
      this.known = { inputs: inputs.map((input) => input.hold()), outputs };
    }
    this.outputs.forEach((slot, i) => (frame[slot] = this.known!.outputs[i]!.hold()));
  }

  forget(): void {
    for (const value of this.known ? [...this.known.inputs, ...this.known.outputs] : []) value.release();
    this.known = null;
  }
}

function isSame(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (!a.isOnHost || !b.isOnHost || a.shape.length !== b.shape.length) return false;
  const [x, y] = [a.host(), b.host()];
  return x.length === y.length && x.every((value, i) => value === y[i]);
}

/** Works out a small tensor on the host. */
export class HostStep implements Step {
  frees: readonly Slot[] = [];
  readonly isQuick = true;

  constructor(
    readonly inputs: readonly Slot[],
    readonly outputs: readonly [Slot],
    private readonly give: (values: readonly Value[], runtime: Runtime) => Value,
  ) {}

  run(frame: Frame, runtime: Runtime): void {
    const inputs = this.inputs.map((slot) => frame[slot]!);
    frame[this.outputs[0]] = this.give(inputs, runtime);
  }
}
