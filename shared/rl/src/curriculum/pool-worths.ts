/** Weight that a result keeps of the one after it: about the last fifty count. */
const KEPT = 0.98;
/** Worth of a level nobody knows: more than most have, so that it is tried. */
const UNKNOWN = 0.3;
/** Results that `UNKNOWN` stands for, and that the worth of a level over all difficulties stands for in a pool of it. */
const OF_UNKNOWN = 2;
const OF_LEVEL = 4;

interface Sum {
  worth: number;
  results: number;
}

/**
 * By pool of samples, the mean worth of the newest groups drawn from it. A pool is named by level and difficulty,
 * `half +2,2:01`; while little is known of it, the worth of its level counts.
 */
export class PoolWorths {
  private readonly sums = new Map<string, Sum>();

  /** The worth to expect of the next group drawn from a pool, above 0 and below 1. */
  predict(pool: string): number {
    const level = this.smoothed(levelOf(pool), UNKNOWN, OF_UNKNOWN);
    return this.smoothed(pool, level, OF_LEVEL);
  }

  /** Takes in the worth of a group, 0 … 1; the sums that it changed, by name. */
  observe(pool: string, worth: number): string[] {
    const names = [levelOf(pool), pool];
    for (const name of names) {
      const sum = this.sum(name);
      this.sums.set(name, { worth: sum.worth * KEPT + worth, results: sum.results * KEPT + 1 });
    }
    return names;
  }

  /** A sum as a text that `restore` reads to the bit. */
  text(name: string): string {
    const { worth, results } = this.sum(name);
    return `${worth} ${results}`;
  }

  restore(name: string, text: string): void {
    const [worth = 0, results = 0] = text.split(' ').map(Number);
    this.sums.set(name, { worth, results });
  }

  private sum(name: string): Sum {
    return this.sums.get(name) ?? { worth: 0, results: 0 };
  }

  /** The mean of a sum in which `expected` stands for so many results. */
  private smoothed(name: string, expected: number, count: number): number {
    const { worth, results } = this.sum(name);
    return (worth + expected * count) / (results + count);
  }
}

function levelOf(pool: string): string {
  return pool.slice(0, pool.indexOf(' '));
}
