import type { MetricsRow } from '../../../src/api';

/** The newest value of a metric; rows may lack it, as that of a rollback does. */
export function newestOf(rows: readonly MetricsRow[], key: string): number | undefined {
  return rows.findLast((row) => row[key] !== undefined)?.[key];
}
