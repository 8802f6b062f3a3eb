import type { Ledger } from '../api';
import { NO_RATES, type FlowRates } from './pipeline';

/** Counts of a moment. */
export interface Counted {
  atMs: number;
  ledger: Pick<Ledger, 'admitted' | 'inFlight'>;
  /** Calls that were answered so far, by service. */
  calls: Readonly<Record<string, number>>;
}

/** Rates per second, from the oldest count to the newest. */
export function flowRates(counts: readonly Counted[]): FlowRates {
  const [first, last] = [counts.at(0), counts.at(-1)];
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return NO_RATES;
  const seconds = (last.atMs - first.atMs) / 1000;
  // Counts fall when a process starts anew, or a run goes back.
  const rate = (from: number, to: number): number | null => (to < from ? null : (to - from) / seconds);
  const done = ({ ledger }: Counted): number => ledger.admitted - ledger.inFlight;
  const calls = Object.entries(last.calls).flatMap(([service, to]) => {
    const perSecond = rate(first.calls[service] ?? 0, to);
    return perSecond === null ? [] : [[service, perSecond]];
  });
  return {
    jobs: rate(first.ledger.admitted, last.ledger.admitted),
    groups: rate(done(first), done(last)),
    calls: Object.fromEntries(calls) as Record<string, number>,
  };
}
