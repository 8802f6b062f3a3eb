import type { MetricsRow } from '../api';

/** Most rows that a page is sent; it gets a choice of the rows of a longer run. */
export const MOST_ROWS = 2_000;

/**
 * At most so many of the rows, the first and the newest among them, in their order and as they are. They are so many steps
 * apart as that takes, of every metric: what is measured seldom, as accuracy or a rollback, is not lost between them.
 *
 * Edge: as many rows as there are metrics are kept, and the newest, should that be more than `most`.
 */
export function thinnedRows(rows: readonly MetricsRow[], most = MOST_ROWS): readonly MetricsRow[] {
  const [first, last] = [rows.at(0), rows.at(-1)];
  if (rows.length <= most || first === undefined || last === undefined) return rows;
  const span = last.step - first.step;
  let apart = Math.max(1, Math.floor(span / most));
  let kept = spaced(rows, apart);
  while (kept.length > most && apart <= span) {
    apart = Math.ceil(1.25 * apart);
    kept = spaced(rows, apart);
  }
  return kept;
}

/** The shares of a histogram are one metric: which of them a row has says how it was, and must not get it chosen. */
const metricOf = (key: string): string => (key.startsWith(HISTOGRAM) ? HISTOGRAM : key);
const HISTOGRAM = 'lag/share/';

/** The rows with a metric that no kept row of so many steps before has, and the newest. */
function spaced(rows: readonly MetricsRow[], apart: number): MetricsRow[] {
  const keptAt = new Map<string, number>();
  return rows.filter((row, k) => {
    const keys = Object.keys(row).flatMap((key) => (key === 'step' ? [] : [metricOf(key)]));
    const isDue = (key: string): boolean => row.step - (keptAt.get(key) ?? -Infinity) >= apart;
    if (k < rows.length - 1 && !keys.some(isDue)) return false;
    for (const key of keys) keptAt.set(key, row.step);
    return true;
  });
}
