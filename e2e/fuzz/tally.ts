/** Counts of the messages sent to one place. */
export class Tally {
  private readonly kinds = new Map<string, number>();

  constructor(readonly target: string) {}

  /** Counts so many more of a kind. */
  add(kind: string, count = 1): void {
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + count);
  }

  get sent(): number {
    return [...this.kinds.values()].reduce((sum, count) => sum + count, 0);
  }

  get byKind(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.kinds].sort(([, a], [, b]) => b - a));
  }
}

/** `{ a: 2, b: 1 }` as `2 a, 1 b`. */
export function listed(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  return parts.join(', ') || 'none';
}

/** Counts that grew from `before` to `after`, by how much. */
export function growth(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const grown = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, count]) => count !== 0));
}
