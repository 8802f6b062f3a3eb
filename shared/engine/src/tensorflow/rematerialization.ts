import { OpStep, type Slot, type Step } from './step';

/** Ops that take little more than the time to write their result. */
const CHEAP = new Set(['AddV2', 'Cast', 'Mul', 'Reshape', 'Sigmoid', 'Sub', 'Transpose']);
/** Steps between two uses of a value from which on it is computed again: more than those of a layer. */
const LONG = 256;
/** Ops that are repeated for one value at most, one behind the other. */
const DEPTH = 4;

/** A value that is not kept from the step `from` to the step `until`, which uses it again. */
interface Absence {
  readonly from: number;
  readonly until: number;
}

/**
 * The steps, with those repeated before their results are used again a long time later where that is cheap and what
 * they need is there anyway: a forward pass then leaves behind what its products made, and not what follows from it.
 */
export function rematerialized(steps: readonly Step[], results: readonly Slot[]): Step[] {
  const makers = new Map<Slot, number>();
  const uses = new Map<Slot, number[]>();
  steps.forEach((step, at) => {
    for (const slot of new Set(step.inputs)) uses.set(slot, [...(uses.get(slot) ?? []), at]);
    for (const slot of step.outputs) makers.set(slot, at);
  });
  for (const slot of results) uses.set(slot, [...(uses.get(slot) ?? []), Infinity]);

  const isCheap = (slot: Slot): boolean => {
    const maker = steps[makers.get(slot)!];
    return maker instanceof OpStep && CHEAP.has(maker.name) && !results.includes(slot);
  };
  /** Whether the slot holds its value around step `at`, or a few cheap ops give it. */
  const isAtHand = (slot: Slot, at: number, depth: number): boolean =>
    !makers.has(slot) || uses.get(slot)!.at(-1)! > at - LONG || canRepeat(slot, at, depth);
  const canRepeat = (slot: Slot, at: number, depth: number): boolean =>
    depth > 0 &&
    isCheap(slot) &&
    steps[makers.get(slot)!]!.inputs.every((input) => isAtHand(input, at, depth - 1));

  const absences = new Map<Slot, Absence>();
  for (const [slot, at] of makers) {
    const used = [at, ...(uses.get(slot) ?? [])];
    const next = used.findIndex((use, i) => i > 0 && use - used[i - 1]! > LONG);
    if (next > 0 && canRepeat(slot, used[next]!, DEPTH))
      absences.set(slot, { from: used[next - 1]!, until: used[next]! });
  }

  const all: Step[] = [];
  const bringBack = (slot: Slot, at: number): void => {
    const absence = absences.get(slot);
    if (absence === undefined || at <= absence.from) return;
    absences.delete(slot);
    const maker = steps[makers.get(slot)!] as OpStep;
    for (const input of maker.inputs) bringBack(input, at);
    all.push(maker.again());
  };
  steps.forEach((step, at) => {
    for (const slot of step.inputs) bringBack(slot, at);
    all.push(step);
  });
  return all;
}
