import { LatencyHistogram } from './latency-histogram';

describe('LatencyHistogram', () => {
  it('has quantiles within 4.5 % and the exact mean', () => {
    const histogram = new LatencyHistogram();
    for (let ms = 1; ms <= 1_000; ms++) histogram.add(ms);
    for (const q of [0.01, 0.5, 0.9, 0.99]) {
      const exact = q * 1_000;
      expect(Math.abs(histogram.quantile(q) / exact - 1)).toBeLessThan(0.045);
    }
    expect([histogram.meanMs, histogram.count]).toEqual([500.5, 1_000]);
  });

  it('is 0 without samples, and bounded at both ends', () => {
    const histogram = new LatencyHistogram();
    expect([histogram.quantile(0.5), histogram.meanMs]).toEqual([0, 0]);
    histogram.add(0);
    expect(histogram.quantile(0.5)).toBeCloseTo(0.001, 3);
    histogram.add(1e12);
    expect(histogram.quantile(1)).toBeGreaterThan(3_600_000);
  });

  it('adds up', () => {
    const [a, b] = [new LatencyHistogram(), new LatencyHistogram()];
    a.add(1);
    b.add(3);
    a.addAll(b);
    expect([a.count, a.meanMs]).toEqual([2, 2]);
    expect(Math.abs(a.quantile(1) / 3 - 1)).toBeLessThan(0.045);
  });
});
