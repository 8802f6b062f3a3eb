import { createHash } from 'node:crypto';
import { typed } from './binding';
import { graphBytes, type GraphNode } from './graph-bytes';
import { SHAPE_RULES } from './op-shapes';
import type { GraphCall, Runtime } from './runtime';
import { clear, OpStep, type Argument, type Frame, type Ints, type Slot, type Step } from './step';

/** Ops that are worth a graph of their own, which takes about a millisecond each to prepare. */
const MIN_OPS = 64;

const isInGraph = (step: Step): step is OpStep => step instanceof OpStep && SHAPE_RULES.has(step.name);
/** Done by the host, or remembered by it: needs nothing that a graph computes but its shape. */
const isBeside = (step: Step): boolean => !(step instanceof OpStep) && step.isQuick === true;

/**
 * Steps one behind the other as one graph of TensorFlow, in place of as many calls. Lengths depend on the run: the host
 * follows the shapes through all ops first, and gives the graph the lengths that they take.
 */
class Stretch implements Step {
  frees: readonly Slot[] = [];
  readonly inputs: readonly Slot[];
  /** Slots that the graph takes as tensors. */
  private readonly fed: readonly Slot[];
  /** Results of the graph that later steps use. */
  private readonly given: readonly Slot[];
  private readonly inner: readonly Slot[];
  private call: GraphCall | null = null;

  constructor(
    private readonly steps: readonly Step[],
    readonly outputs: readonly Slot[],
  ) {
    const made = new Set(steps.flatMap((step) => step.outputs));
    const ops = steps.filter(isInGraph);
    const computed = new Set(ops.flatMap((step) => step.outputs));
    this.inputs = [...new Set(steps.flatMap((step) => step.inputs).filter((slot) => !made.has(slot)))];
    this.fed = [
      ...new Set(ops.flatMap(({ args }) => args.filter(isSlot)).filter((slot) => !computed.has(slot))),
    ];
    this.given = outputs.filter((slot) => computed.has(slot));
    this.inner = [...made];
  }

  run(frame: Frame, runtime: Runtime): void {
    const lengths = this.follow(frame, runtime);
    const tensors = this.fed.map((slot) => frame[slot]!);
    this.call ??= this.graphCall(tensors.map(({ type }) => type));
    const handles = [...tensors.map((value) => value.handle()), ...lengths];
    const results = runtime.runGraph(this.call, handles);
    const left = new Set(this.outputs);
    for (const slot of this.inner) if (!left.has(slot)) clear(frame, slot);
    this.given.forEach((slot, i) => (frame[slot] = results[i]));
  }

  forget(): void {
    for (const step of this.steps) step.forget?.();
  }

  /** Puts outlines of all results into the frame, and gives the handles of the lengths that the graph takes. */
  private follow(frame: Frame, runtime: Runtime): number[] {
    const handles: number[] = [];
    for (const step of this.steps) {
      if (!isInGraph(step)) {
        step.run(frame, runtime);
        continue;
      }
      const operands = step.args.map((arg) => {
        if (isSlot(arg)) return frame[arg]!.shape;
        const numbers = arg.give(...arg.from.map((slot) => frame[slot]!));
        if (arg.from.length > 0) handles.push(runtime.ints(numbers));
        return typeof numbers === 'number' ? [numbers] : numbers;
      });
      frame[step.outputs[0]!] = runtime.outline(SHAPE_RULES.get(step.name)!(operands, step));
    }
    return handles;
  }

  private graphCall(types: readonly number[]): GraphCall {
    const nodes: GraphNode[] = [];
    const add = (name: string, op: string, more: Partial<GraphNode> = {}): string => {
      nodes.push({ inputs: [], attributes: [], ...more, name, op });
      return name;
    };
    const names = new Map<Slot, string>();
    const lengths: string[] = [];
    this.fed.forEach((slot, i) => {
      const dtype = { ...typed('dtype', 'float32'), value: types[i]! };
      names.set(slot, add(`x${i}`, 'Placeholder', { attributes: [dtype] }));
    });
    const argument = ({ from, give }: Ints): string => {
      const attributes = [typed('dtype', 'int32')];
      const name = `n${nodes.length}`;
      if (from.length === 0) return add(name, 'Const', { attributes, numbers: give() });
      lengths.push(name);
      return add(name, 'Placeholder', { attributes });
    };
    for (const { name, args, attributes, outputs } of this.steps.filter(isInGraph)) {
      const inputs = args.map((arg) => (isSlot(arg) ? names.get(arg)! : argument(arg)));
      names.set(outputs[0]!, add(`y${nodes.length}`, name, { inputs, attributes }));
    }
    const bytes = graphBytes(nodes);
    return {
      bytes,
      key: createHash('sha256').update(bytes).digest('hex'),
      inputs: [...this.fed.map((slot) => names.get(slot)!), ...lengths].join(),
      outputs: this.given.map((slot) => names.get(slot)!).join(),
    };
  }
}

const isSlot = (arg: Argument): arg is Slot => typeof arg === 'number';

/** The steps, with every long stretch of them that can be one graph made one step. */
export function inStretches(steps: readonly Step[], results: readonly Slot[]): Step[] {
  const all: Step[] = [];
  for (let at = 0; at < steps.length;) {
    let end = at;
    while (end < steps.length && (isInGraph(steps[end]!) || isBeside(steps[end]!))) end += 1;
    const run = steps.slice(at, end);
    if (run.filter(isInGraph).length < MIN_OPS) all.push(...run);
    else {
      const later = new Set([...results, ...steps.slice(end).flatMap((step) => step.inputs)]);
      const outputs = run.flatMap((step) => step.outputs).filter((slot) => later.has(slot));
      all.push(new Stretch(run, outputs));
    }
    if (end < steps.length) all.push(steps[end]!);
    at = end + 1;
  }
  return all;
}
