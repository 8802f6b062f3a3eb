import type { MetricsRow } from '../api';

/** How a service spent its time: shares that add up to one. */
export interface Shares {
  busy: number;
  idle: number;
  /** Shares by the thing it waited for. */
  waits: Readonly<Record<string, number>>;
}

/** The mean over the rows that tell of a service; null when none does. */
export function sharesOf(rows: readonly MetricsRow[], service: string): Shares | null {
  const telling = rows.filter((row) => row[`busy/${service}`] !== undefined);
  if (telling.length === 0) return null;
  const mean = (key: string): number =>
    telling.reduce((sum, row) => sum + (row[key] ?? 0), 0) / telling.length;
  const prefix = `waits/${service}/`;
  const waited = new Set(telling.flatMap((row) => Object.keys(row).filter((key) => key.startsWith(prefix))));
  return {
    busy: mean(`busy/${service}`),
    idle: mean(`idle/${service}`),
    waits: Object.fromEntries([...waited].map((key) => [key.slice(prefix.length), mean(key)])),
  };
}
