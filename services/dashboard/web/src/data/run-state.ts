import type { ControlChange, MetricsRow, RunEvents, RunView, SampleRollout } from '../../../src/api';
import { MOST_ROWS, thinnedRows } from '../../../src/domain/thinned-rows';

/** The page's knowledge of a run. */
export interface RunState {
  view: RunView | null;
  /** By step; of a long run a choice. */
  rows: readonly MetricsRow[];
  /** Newest first. */
  samples: readonly SampleRollout[];
  /** Oldest first. */
  controls: readonly ControlChange[];
  /** The problem of what the server reads. */
  problem: string | null;
}

export const NOTHING_KNOWN: RunState = { view: null, rows: [], samples: [], controls: [], problem: null };

const MOST_SAMPLES = 100;

/** The knowledge after an event. */
export function withEvent<Name extends keyof RunEvents>(
  state: RunState,
  name: Name,
  data: RunEvents[Name],
): RunState {
  const events: Partial<RunEvents> = { [name]: data };
  if (events.view !== undefined) return { ...state, view: events.view };
  if (events.metrics !== undefined) return { ...state, rows: withRows(state.rows, events.metrics) };
  if (events.samples !== undefined) return { ...state, samples: withSamples(state.samples, events.samples) };
  if (events.controls !== undefined)
    return { ...state, controls: withControls(state.controls, events.controls) };
  if (events.problem !== undefined) return { ...state, problem: events.problem };
  return state;
}

/** A row of a step that is known replaces it: a run that is resumed may do steps again. All are kept while they are not too many. */
export function withRows(known: readonly MetricsRow[], added: readonly MetricsRow[]): readonly MetricsRow[] {
  const rows = inOrder(known, added);
  return rows.length > 2 * MOST_ROWS ? thinnedRows(rows) : rows;
}

function inOrder(known: readonly MetricsRow[], added: readonly MetricsRow[]): readonly MetricsRow[] {
  const last = known.at(-1)?.step ?? -Infinity;
  const isBehind = added.every(({ step }, k) => step > (added[k - 1]?.step ?? last));
  if (isBehind) return [...known, ...added];
  const byStep = new Map([...known, ...added].map((row) => [row.step, row]));
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}

function withSamples(
  known: readonly SampleRollout[],
  added: readonly SampleRollout[],
): readonly SampleRollout[] {
  const isAdded = new Set(added.map(({ index }) => index));
  return [...added, ...known.filter(({ index }) => !isAdded.has(index))].slice(0, MOST_SAMPLES);
}

function withControls(
  known: readonly ControlChange[],
  added: readonly ControlChange[],
): readonly ControlChange[] {
  const all = new Map([...known, ...added].map((change) => [JSON.stringify(change), change]));
  return [...all.values()].sort((a, b) => a.seconds - b.seconds);
}
