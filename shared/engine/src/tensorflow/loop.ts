import { reachableInside, type DType, type LoopBody } from '@forge/graph';
import { typed, whole } from './binding';
import { blockOf, type Block } from './lifetimes';
import type { Lowering } from './planner';
import type { Runtime } from './runtime';
import { inStretches } from './stretch';
import { clear, runSteps, type Frame, type Slot, type Step } from './step';
import type { Value } from './value';

interface Body extends Block {
  readonly counter: Slot;
  readonly carried: readonly Slot[];
  /** Slots of the next state, then of the scans. */
  readonly results: readonly Slot[];
}

interface Scan {
  readonly dtype: DType;
  /** Shape of the scan of no rounds; a length that is not known then is 0. */
  readonly empty: readonly number[];
}

/** Runs the steps of a body as often as the host is told. */
class LoopStep implements Step {
  frees: readonly Slot[] = [];
  readonly inputs: readonly Slot[];

  constructor(
    private readonly trips: Slot,
    private readonly state: readonly Slot[],
    captured: readonly Slot[],
    private readonly body: Body,
    private readonly scans: readonly Scan[],
    readonly outputs: readonly Slot[],
  ) {
    this.inputs = [trips, ...state, ...captured];
  }

  run(frame: Frame, runtime: Runtime): void {
    const trips = frame[this.trips]!.host()[0]!;
    let state = this.state.map((slot) => frame[slot]!.hold());
    const scanned: Value[][] = this.scans.map(() => []);
    // An initial state that nobody else needs is freed by the first round.
    for (const slot of this.state) if (this.frees.includes(slot)) clear(frame, slot);
    try {
      for (let i = 0; i < trips; i++) {
        const results = this.round(frame, runtime, i, state);
        state = results.slice(0, state.length);
        scanned.forEach((values, at) => values.push(results[state.length + at]!));
      }
      this.outputs.forEach((slot, i) => {
        const at = i - state.length;
        frame[slot] = at < 0 ? state[i]! : this.stacked(runtime, at, scanned[at]!);
      });
    } finally {
      for (const value of scanned.flat()) value.release();
    }
  }

  forget(): void {
    for (const step of this.body.steps) step.forget?.();
  }

  private round(frame: Frame, runtime: Runtime, i: number, state: readonly Value[]): Value[] {
    const { steps, counter, carried, results, left } = this.body;
    frame[counter] = runtime.known('int64', [], Float64Array.of(i));
    carried.forEach((slot, at) => (frame[slot] = state[at]));
    runSteps(steps, frame, runtime);
    const taken = results.map((slot) => frame[slot]!.hold());
    for (const slot of left) clear(frame, slot);
    return taken;
  }

  private stacked(runtime: Runtime, scan: number, values: readonly Value[]): Value {
    const { dtype, empty } = this.scans[scan]!;
    if (values.length === 0) return runtime.known(dtype, empty, new Float64Array());
    const attributes = [typed('T', dtype), whole('axis', 0), whole('N', values.length)];
    const handles = values.map((value) => value.handle());
    return runtime.execute('Pack', attributes, handles, 1)[0]!;
  }
}

/** The block with its long stretches as graphs. On a GPU a graph would take its tensors from the host. */
function inGraphs(block: Block, results: readonly Slot[], entries: readonly Slot[], runtime: Runtime): Block {
  return runtime.isOnGpu ? block : blockOf(inStretches(block.steps, results), results, entries);
}

export const lowerLoop: Lowering = (node, planner) => {
  const { body, outputs } = node.attributes.body as LoopBody;
  const wanted = outputs.slice(1);
  const inside = planner.inside();
  const [counterInput, , ...carriedInputs] = body.inputs;
  const counter = inside.entry(counterInput!, true);
  const carried = carriedInputs.map((x) => inside.entry(x));
  inside.plan(reachableInside({ body, outputs: wanted }).nodes);
  const results = wanted.map((y) => inside.at(y));
  const entries = [counter, ...carried];
  const block = inGraphs(blockOf(inside.steps, results, entries), results, entries, planner.slots.runtime);
  const own = new Set([counter, ...carried, ...block.steps.flatMap((step) => step.outputs)]);
  const captured = [...block.steps.flatMap((step) => step.inputs), ...results].filter(
    (slot) => !own.has(slot),
  );

  const state = carried.map((_, i) => planner.input(node, 2 + i));
  const scans = node.outputs.slice(carried.length).map(({ dtype, shape }) => ({
    dtype,
    empty: [0, ...shape.slice(1).map((dim) => (typeof dim === 'number' ? dim : 0))],
  }));
  const made = node.outputs.map(() => planner.slots.fresh());
  const step = new LoopStep(
    planner.input(node, 0),
    state,
    [...new Set(captured)],
    { ...block, counter, carried, results },
    scans,
    made,
  );
  planner.add(step);
  return made;
};
