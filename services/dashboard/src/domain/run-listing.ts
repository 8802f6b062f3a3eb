import type { RunEntry } from '@forge/runs';
import type { MetricsRow, RunListing } from '../api';

/** How far a run is, by its files. */
export interface Progress {
  /** summary.json; null before it is written. */
  summary: Readonly<Record<string, unknown>> | null;
  /** The first row of its metrics with an accuracy, and the newest of all; null before they are written. */
  first: MetricsRow | null;
  newest: MetricsRow | null;
}

/** A run in the list of runs. */
export function runListing(
  { id, record, problem }: RunEntry,
  { summary, first, newest }: Progress,
): RunListing {
  const nothing = {
    recipe: '',
    seed: 0,
    startedAt: '',
    step: 0,
    steps: 0,
    startAccuracy: null,
    accuracy: null,
  };
  if (record === null) return { id, ...nothing, state: 'failed', message: null, problem };
  const { recipe, seed, state, message = null, startedAt, steps } = record;
  return {
    ...{ id, recipe, seed, state, message, startedAt, steps },
    step: numberOr(0, summary?.['steps'], newest?.step),
    startAccuracy: numberOr(null, summary?.['startAccuracy'], first?.['eval/accuracy']),
    accuracy: numberOr(null, summary?.['finalAccuracy'], newest?.['eval/accuracy']),
    problem: null,
  };
}

/** A line of metrics.jsonl; null for anything else. */
export function metricsRow(line: unknown): MetricsRow | null {
  const isRow =
    typeof line === 'object' && line !== null && typeof (line as { step?: unknown }).step === 'number';
  return isRow ? (line as MetricsRow) : null;
}

function numberOr<T>(fallback: T, ...values: readonly unknown[]): number | T {
  return values.find((value): value is number => typeof value === 'number') ?? fallback;
}
