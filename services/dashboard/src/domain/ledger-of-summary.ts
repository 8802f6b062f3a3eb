import { z } from 'zod';
import type { Ledger } from '../api';

const count = z.number();
const schema = z.object({
  admitted: count,
  inFlight: count,
  buffered: count,
  leased: count,
  trained: count,
  discarded: z.record(z.string(), count),
  isBalanced: z.boolean(),
});

/** The ledger at the end of a run, as summary.json has it; null while there is no summary. */
export function ledgerOfSummary(summary: Readonly<Record<string, unknown>> | null): Ledger | null {
  return schema.safeParse(summary?.['ledger']).data ?? null;
}
