import type { ControlChange } from '../../../src/api';

/** How stale trained tokens may be from a step on; null: as stale as they are. */
export interface StalenessBound {
  fromStep: number;
  bound: number | null;
}

/** The bounds a run had, oldest first: `now` is the one it has, or had at its end; undefined: not known. */
export function stalenessBounds(
  now: number | null | undefined,
  controls: readonly Pick<ControlChange, 'name' | 'version' | 'from' | 'to'>[],
): StalenessBound[] {
  const changes = controls.filter(({ name }) => name === 'maxStaleness');
  const [first] = changes;
  if (first === undefined) return now === undefined ? [] : [{ fromStep: 0, bound: now }];
  const later = changes.map(({ version, to }) => ({ fromStep: version + 1, bound: boundOf(to) }));
  return [{ fromStep: 0, bound: boundOf(first.from) }, ...later];
}

/** Null where there was none, or it is not known. */
export function boundAt(bounds: readonly StalenessBound[], step: number): number | null {
  return bounds.findLast(({ fromStep }) => fromStep <= step)?.bound ?? null;
}

function boundOf(text: string): number | null {
  const value = text === '' ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
