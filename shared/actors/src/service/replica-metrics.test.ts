import { ReplicaMetrics } from './replica-metrics';

describe('ReplicaMetrics', () => {
  it('counts calls per second over the last minute', () => {
    let now = 5_000;
    const metrics = new ReplicaMetrics(() => now);
    for (let i = 0; i < 300; i++) metrics.accepted(now);
    expect(metrics.rate()).toBe(300);
    now += 10_000;
    expect(metrics.rate()).toBe(30);
    metrics.accepted(now);
    now += 50_000;
    // The first 300 are a minute old.
    expect(metrics.rate()).toBe(1 / 60);
    now += 600_000;
    expect(metrics.rate()).toBe(0);
  });
});
