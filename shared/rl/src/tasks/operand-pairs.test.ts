import { operandPairs } from './operand-pairs';

const all = (large: number, small: number) => {
  const { size, pair } = operandPairs(large, small);
  return Array.from({ length: size }, (_, rank) => pair(rank));
};

describe('operandPairs', () => {
  it.each([
    [1, 1, 55],
    [2, 1, 900],
    [2, 2, 4095],
    [3, 2, 81_000],
  ])('has every pair of %i and %i digits once: %i', (large, small, count) => {
    const pairs = all(large, small);
    expect(pairs).toHaveLength(count);
    expect(new Set(pairs.map((p) => `${p.large} ${p.small}`)).size).toBe(count);
    const shapes = pairs.map(
      (p) => `${String(p.large).length} ${String(p.small).length} ${p.large >= p.small}`,
    );
    expect(new Set(shapes)).toEqual(new Set([`${large} ${small} true`]));
  });

  it('numbers six-digit pairs exactly', () => {
    const { size, pair } = operandPairs(6, 6);
    expect(size).toBe(405_000_450_000);
    expect(pair(0)).toEqual({ large: 100_000, small: 100_000 });
    expect(pair(size - 1)).toEqual({ large: 999_999, small: 999_999 });
    expect(pair(size - 900_000)).toEqual({ large: 999_999, small: 100_000 });
    expect(pair(size - 900_001)).toEqual({ large: 999_998, small: 999_998 });
  });
});
