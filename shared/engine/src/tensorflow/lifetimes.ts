import type { Slot, Step } from './step';

/**
 * Tells each step which of the slots in `own` it is the last to use, but for the `results`. Gives the slots that the
 * steps leave: results, and entries that none of them uses.
 */
export function freeAfterUse(
  steps: readonly Step[],
  own: ReadonlySet<Slot>,
  results: readonly Slot[],
  entries: readonly Slot[],
): Slot[] {
  const later = new Set<Slot>(results);
  for (const step of [...steps].reverse()) {
    const used = new Set([...step.inputs, ...step.outputs]);
    step.frees = [...used].filter((slot) => own.has(slot) && !later.has(slot));
    for (const slot of used) later.add(slot);
  }
  const unused = entries.filter((slot) => !later.has(slot));
  return [...new Set([...results.filter((slot) => own.has(slot)), ...unused])];
}
