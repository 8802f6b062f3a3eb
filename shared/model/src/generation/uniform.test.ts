import { rolloutKey, uniformAt } from './uniform';

const draws = Array.from({ length: 100_000 }, (_, i) =>
  uniformAt(rolloutKey(7, `r-${i % 100}`), Math.floor(i / 100)),
);

describe('uniformAt', () => {
  it('stays below any float32 total it is multiplied with, even at its largest', () => {
    const largest = 1 - 2 ** -23;
    expect(Math.max(...draws)).toBeLessThanOrEqual(largest);
    for (let i = 0; i < 10_000; i++) {
      const total = Math.fround(0.5 + i / 9_999);
      expect(Math.fround(largest * total)).toBeLessThan(total);
    }
  });

  it('is exact in float32, and uniform', () => {
    expect(draws.every((u) => u >= 0 && u === Math.fround(u))).toBe(true);
    const buckets = new Array<number>(10).fill(0);
    for (const u of draws) buckets[Math.floor(u * 10)]! += 1;
    // 99.9 % quantile for 9 degrees of freedom.
    expect(buckets.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(27.9);
  });

  it('depends on the seed, the rollout and the position', () => {
    const some = [rolloutKey(1, 'a'), rolloutKey(2, 'a'), rolloutKey(1, 'b')].flatMap((key) => [
      uniformAt(key, 0),
      uniformAt(key, 1),
    ]);
    expect(new Set(some).size).toBe(6);
    expect(uniformAt(rolloutKey(1, 'a'), 1)).toBe(some[1]);
  });
});
