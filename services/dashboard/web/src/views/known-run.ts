import { useMemo } from 'preact/hooks';
import type { RunView } from '../../../src/api';
import type { Mark } from '../charts/curve';
import { stalenessBounds, type StalenessBound } from '../charts/staleness-bound';
import type { RunFeedState } from '../data/run-feed';

/** A run of which something is known. */
export interface KnownRun extends RunFeedState {
  view: RunView;
  /** Where it was changed. */
  marks: readonly Mark[];
}

/** How stale trained tokens may be: as it is now, or was at the end; null: no bound, undefined: not known. */
export function maxStalenessOf({
  view,
  controls,
}: Pick<KnownRun, 'view' | 'controls'>): number | null | undefined {
  if (view.live !== null) return view.live.maxStaleness;
  const changed = controls.findLast(({ name }) => name === 'maxStaleness')?.to;
  const value = changed ?? (view.config as { maxStaleness?: unknown } | null)?.maxStaleness;
  if (value === null || value === 'inf') return null;
  const bound = typeof value === 'string' ? Number(value) : value;
  return typeof bound === 'number' && !Number.isNaN(bound) ? bound : undefined;
}

/** How stale they might be at each step. */
export function useStalenessBounds(run: Pick<KnownRun, 'view' | 'controls'>): StalenessBound[] {
  const now = maxStalenessOf(run);
  return useMemo(() => stalenessBounds(now, run.controls), [now, run.controls]);
}

/** Why nothing can be changed; null when it can. */
export function whyNotSteered({ view, connection }: Pick<KnownRun, 'view' | 'connection'>): string | null {
  if (view.run.state !== 'running')
    return `The run is over (${view.run.state}): nothing can be changed any more.`;
  if (connection === 'lost') return 'The dashboard’s server does not answer.';
  if (view.live === null) return 'The run’s Redis does not answer: changes have to wait for it.';
  return null;
}
