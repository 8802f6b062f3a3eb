import type { Ledger } from '../../../src/api';

export interface LedgerSegment {
  name: string;
  count: number;
  /** `trained`: made a gradient; `discarded`: never will; `open`: may still. */
  kind: 'trained' | 'discarded' | 'open';
}

/** The admitted groups in parts, by what became of them; empty parts are left out. */
export function ledgerSegments({ trained, discarded, leased, buffered, inFlight }: Ledger): LedgerSegment[] {
  const reasons = Object.entries(discarded).sort(([, a], [, b]) => b - a);
  const segments: LedgerSegment[] = [
    { name: 'trained', count: trained, kind: 'trained' },
    ...reasons.map(([reason, count]): LedgerSegment => ({ name: reason, count, kind: 'discarded' })),
    { name: 'in a batch', count: leased, kind: 'open' },
    { name: 'buffered', count: buffered, kind: 'open' },
    { name: 'in flight', count: inFlight, kind: 'open' },
  ];
  return segments.filter(({ count }) => count > 0);
}
