import fc from 'fast-check';
import { epochOrder, permutation } from './permutation';

const seed = fc.integer({ min: 0, max: 0xffff_ffff });
const range = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('permutation', () => {
  it('holds every number once, for any size and key', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), seed, (size, key) => {
        const images = range(size).map(permutation(size, key));
        expect([...images].sort((a, b) => a - b)).toEqual(range(size));
      }),
    );
  });

  it('stays inside and does not repeat in sizes beyond 32 bits', () => {
    const size = 405_000_450_000;
    const permute = permutation(size, 5);
    const images = range(2000).map((i) => permute(i * 200_000_000));
    expect(new Set(images).size).toBe(2000);
    expect(images.every((x) => Number.isInteger(x) && x >= 0 && x < size)).toBe(true);
  });

  it('spreads each position evenly over the numbers as keys vary', () => {
    const counts = range(10).map(() => 0);
    for (let key = 0; key < 10_000; key += 1) counts[permutation(10, key)(3)]! += 1;
    // Expected 1000 each; 5 standard deviations are 150.
    expect(counts.every((count) => Math.abs(count - 1000) < 150)).toBe(true);
  });
});

describe('epochOrder', () => {
  it('holds every number once an epoch, in an order that differs by epoch and seed', () => {
    const epoch = (seedValue: number, e: number) =>
      range(50).map((i) => epochOrder(50, seedValue)(50 * e + i));
    const orders = [epoch(1, 0), epoch(1, 1), epoch(2, 0)];
    for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(range(50));
    expect(new Set(orders.map(String)).size).toBe(3);
  });

  it('depends on the index alone, not on what was asked before', () => {
    const order = epochOrder(7, 3);
    const forwards = range(30).map(order);
    expect([...range(30)].reverse().map(order).reverse()).toEqual(forwards);
  });
});
