/** Weight that a result keeps of the one after it: about the last fifty count. */
const KEPT = 0.98;

/** Results that the share of a level over all difficulties stands for in a pool of it. */
const OF_LEVEL = 4;

interface Count {
  informative: number;
  all: number;
}

/**
 * By pool of samples, the share of informative groups among the newest ones drawn from it. A pool is named by level and
 * difficulty, `half +2,2:01`; while little is known of it, the share of its level counts.
 */
export class InformativeShares {
  private readonly counts = new Map<string, Count>();

  /** The share to expect of the next group drawn from a pool, above 0 and below 1. */
  predict(pool: string): number {
    // A level nobody knows is worth a try.
    const level = this.smoothed(levelOf(pool), 0.5, 2);
    return this.smoothed(pool, level, OF_LEVEL);
  }

  /** Takes in a result; the counts that it changed, by name. */
  observe(pool: string, isInformative: boolean): string[] {
    const names = [levelOf(pool), pool];
    for (const name of names) {
      const { informative, all } = this.count(name);
      this.counts.set(name, {
        informative: informative * KEPT + (isInformative ? 1 : 0),
        all: all * KEPT + 1,
      });
    }
    return names;
  }

  /** A count as a text that `restore` reads to the bit. */
  text(name: string): string {
    const { informative, all } = this.count(name);
    return `${informative} ${all}`;
  }

  restore(name: string, text: string): void {
    const [informative = 0, all = 0] = text.split(' ').map(Number);
    this.counts.set(name, { informative, all });
  }

  private count(name: string): Count {
    return this.counts.get(name) ?? { informative: 0, all: 0 };
  }

  /** The share of a count in which `expected` stands for so many results. */
  private smoothed(name: string, expected: number, weight: number): number {
    const { informative, all } = this.count(name);
    return (informative + expected * weight) / (all + weight);
  }
}

function levelOf(pool: string): string {
  return pool.slice(0, pool.indexOf(' '));
}
