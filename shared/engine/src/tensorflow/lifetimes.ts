import type { Slot, Step } from './step';

/** Steps in order, each with the slots whose last use it is. */
export interface Block {
  readonly steps: readonly Step[];
  /** Slots that the steps leave: results, and entries that no step uses. */
  readonly left: readonly Slot[];
}

/** The steps that `results` need, told which slots to free. Slots that only the block uses: `entries` and its outputs. */
export function blockOf(all: readonly Step[], results: readonly Slot[], entries: readonly Slot[]): Block {
  const own = new Set([...entries, ...all.flatMap((step) => step.outputs)]);
  const later = new Set<Slot>(results);
  const steps: Step[] = [];
  for (const step of [...all].reverse()) {
    if (!step.outputs.some((slot) => later.has(slot))) continue;
    const used = new Set([...step.inputs, ...step.outputs]);
    step.frees = [...used].filter((slot) => own.has(slot) && !later.has(slot));
    for (const slot of step.outputs) later.delete(slot);
    for (const slot of step.inputs) later.add(slot);
    steps.push(step);
  }
  const unused = entries.filter((slot) => !later.has(slot));
  return {
    steps: steps.reverse(),
    left: [...new Set([...results.filter((slot) => own.has(slot)), ...unused])],
  };
}
