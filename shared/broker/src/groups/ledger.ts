/** Counts of groups by place. */
export interface Ledger {
  admitted: number;
  inFlight: number;
  buffered: number;
  leased: number;
  trained: number;
  discarded: Readonly<Record<string, number>>;
  /** admitted = inFlight + buffered + leased + trained + discarded (invariant L). */
  isBalanced: boolean;
}

/** Trained and discarded groups whose records are deleted; the ledger still counts them. */
export interface Forgotten {
  trained: number;
  discarded: Readonly<Record<string, number>>;
}

/** The ledger in the fields of its hash. */
export function ledgerOf(counts: Readonly<Record<string, string>>): Ledger {
  const count = (name: string): number => Number(counts[name] ?? 0);
  const discarded = byReason(counts, 'discarded:');
  const places = ['inFlight', 'buffered', 'leased', 'trained'].map(count);
  const [inFlight = 0, buffered = 0, leased = 0, trained = 0] = places;
  const total = [...places, ...Object.values(discarded)].reduce((a, b) => a + b, 0);
  return {
    admitted: count('admitted'),
    inFlight,
    buffered,
    leased,
    trained,
    discarded,
    isBalanced: total === count('admitted'),
  };
}

export function forgottenOf(counts: Readonly<Record<string, string>>): Forgotten {
  return {
    trained: Number(counts['forgotten:trained'] ?? 0),
    discarded: byReason(counts, 'forgotten:discarded:'),
  };
}

function byReason(counts: Readonly<Record<string, string>>, prefix: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), Number(value)]] : [],
    ),
  );
}
