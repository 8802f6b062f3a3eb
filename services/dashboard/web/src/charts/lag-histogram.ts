import type { MetricsRow } from '../../../src/api';
import type { StalenessBound } from './staleness-bound';

/** The mean histogram of some steps beside each other. */
export interface LagColumn {
  fromStep: number;
  toStep: number;
  /** Share of the trained tokens by lag, from 0 on. */
  shares: readonly number[];
}

export interface LagHistogram {
  columns: readonly LagColumn[];
  /** `0`, `1`, ... `16+`. */
  lags: readonly string[];
}

const PREFIX = 'lag/share/';

/**
 * The histogram of the lag over time, in at most so many columns, which are of equally many steps, be there rows of all
 * of them or of some; no columns where it was not measured.
 */
export function lagHistogram(rows: readonly MetricsRow[], mostColumns: number): LagHistogram {
  const telling = rows.filter((row) => Object.keys(row).some((key) => key.startsWith(PREFIX)));
  const found = new Set(telling.flatMap((row) => Object.keys(row).filter((key) => key.startsWith(PREFIX))));
  const largest = [...found].reduce(
    (most, key) => Math.max(most, Number.parseInt(key.slice(PREFIX.length), 10)),
    0,
  );
  const lags = Array.from({ length: largest + 1 }, (_, lag) =>
    found.has(`${PREFIX}${lag}+`) ? `${lag}+` : String(lag),
  );
  const firstStep = telling[0]?.step ?? 0;
  const perColumn = Math.ceil(((telling.at(-1)?.step ?? 0) - firstStep + 1) / mostColumns);
  const parts = new Map<number, MetricsRow[]>();
  for (const row of telling) {
    const column = Math.floor((row.step - firstStep) / perColumn);
    parts.set(column, [...(parts.get(column) ?? []), row]);
  }
  const columns = [...parts.values()].map((part): LagColumn => {
    const shares = lags.map(
      (lag) => part.reduce((sum, row) => sum + (row[`${PREFIX}${lag}`] ?? 0), 0) / part.length,
    );
    return { fromStep: part[0]!.step, toStep: part.at(-1)!.step, shares };
  });
  return { columns, lags };
}

/** The histogram with the first lag that was ever too much, which stays empty, so that the bound can be drawn. */
export function withBound({ columns, lags }: LagHistogram, bounds: readonly StalenessBound[]): LagHistogram {
  const drawn = bounds.flatMap(({ bound }) => (bound === null || bound > LARGEST_BOUND ? [] : [bound]));
  const missing = Math.max(0, Math.max(-1, ...drawn) + 2 - lags.length);
  return { columns, lags: [...lags, ...Array.from({ length: missing }, (_, k) => String(lags.length + k))] };
}
const LARGEST_BOUND = 14;

/** Mean lag of a column. */
export const meanLag = ({ shares }: LagColumn): number =>
  shares.reduce((sum, share, lag) => sum + share * lag, 0);
