import { flag, shaped, text, typed } from './binding';
import type { Lowering } from './planner';
import type { Runtime } from './runtime';
import { clear, type Frame, type Slot, type Step } from './step';
import type { Value } from './value';

const DTYPE = [typed('dtype', 'float32')];
const FLOAT = [typed('T', 'float32')];
const APPLY = [...FLOAT, flag('use_locking', false), flag('use_nesterov', false)];
const DESTROY = [flag('ignore_lookup_error', true)];

let variables = 0;

/** A variable of TensorFlow for as long as one update takes: it shares the memory of the value it is made of. */
class Variable {
  private readonly handle: Value;

  constructor(
    private readonly runtime: Runtime,
    { shape }: Value,
  ) {
    const attributes = [
      text('container', ''),
      text('shared_name', `forge-${variables++}`),
      ...DTYPE,
      shaped('shape', shape),
    ];
    this.handle = runtime.execute('VarHandleOp', attributes, [], 1)[0]!;
  }

  get id(): number {
    return this.handle.handle();
  }

  assign(value: Value): void {
    this.runtime.execute('AssignVariableOp', DTYPE, [this.id, value.handle()], 0);
  }

  read(): Value {
    return this.runtime.execute('ReadVariableOp', DTYPE, [this.id], 1)[0]!;
  }

  destroy(): void {
    this.runtime.execute('DestroyResourceOp', DESTROY, [this.id], 0);
    this.handle.release();
  }
}

/**
 * One update by TensorFlow's fused kernel. It works in place where nobody else holds parameter and moments: TensorFlow
 * copies a variable whose memory has another holder before it writes.
 */
class AdamWStep implements Step {
  frees: readonly Slot[] = [];

  constructor(
    private readonly betas: readonly [number, number],
    private readonly epsilon: number,
    readonly inputs: readonly Slot[],
    readonly outputs: readonly Slot[],
  ) {}

  run(frame: Frame, runtime: Runtime): void {
    const [parameter, gradient, first, second, ...rest] = this.inputs.map((slot) => frame[slot]!);
    const [keep, rate, correction, gradientScale] = rest.map((value) => value.host()[0]!);
    const decayed = times(runtime, parameter!, keep!);
    const scaled = times(runtime, gradient!, gradientScale!);
    const updated = [decayed, first!.hold(), second!.hold()];
    for (const slot of this.frees) clear(frame, slot);
    // The kernel's own corrections are left out: powers of 0 make them 1, where float32 would round them.
    const numbers = [0, 0, rate! / correction!, ...this.betas, this.epsilon / correction!].map((number) =>
      runtime.known('float32', [], Float64Array.of(number)),
    );
    const made: Variable[] = [];
    try {
      for (const value of updated) {
        const variable = new Variable(runtime, value);
        made.push(variable);
        variable.assign(value);
      }
      for (const value of updated.splice(0)) value.release();
      const handles = [...made.map(({ id }) => id), ...[...numbers, scaled].map((value) => value.handle())];
      runtime.execute('ResourceApplyAdam', APPLY, handles, 0);
      this.outputs.forEach((slot, i) => (frame[slot] = made[i]!.read()));
    } finally {
      for (const value of [...updated, ...numbers, scaled]) value.release();
      for (const variable of made) variable.destroy();
    }
  }
}

/** The value times a number; the value itself where that is 1. */
function times(runtime: Runtime, value: Value, factor: number): Value {
  if (factor === 1) return value.hold();
  const scalar = runtime.known('float32', [], Float64Array.of(factor));
  const [product] = runtime.execute('Mul', FLOAT, [value.handle(), scalar.handle()], 1);
  scalar.release();
  return product!;
}

export const lowerAdamW: Lowering = (node, planner) => {
  const number = (name: string): number => (node.attributes[name] as { float: number }).float;
  const outputs = node.outputs.map(() => planner.slots.fresh());
  const inputs = node.inputs.map((x) => planner.at(x!));
  const betas = [number('beta1'), number('beta2')] as const;
  planner.add(new AdamWStep(betas, number('epsilon'), inputs, outputs));
  return outputs;
};
