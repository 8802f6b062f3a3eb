import { isSampled, isWithinRatio, sampledOrigin, traceIds, traceparentOf } from './trace-ids';
import { RunTraces } from './run-traces';

describe('traceIds', () => {
  it('gives the same ids for the same rollout of the same run, and others for any other', () => {
    const ids = traceIds('run', 'rollout', 7);
    expect(traceIds('run', 'rollout', 7)).toEqual(ids);
    expect(ids.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(ids.spanId).toMatch(/^[0-9a-f]{16}$/);
    const others = [
      traceIds('run', 'rollout', 8),
      traceIds('run', 'step', 7),
      traceIds('run2', 'rollout', 7),
    ];
    expect(new Set([ids, ...others].map(({ traceId }) => traceId)).size).toBe(4);
  });
});

describe('isWithinRatio', () => {
  it('takes about the share asked for, and a larger share takes all of a smaller one', () => {
    const ids = Array.from({ length: 4000 }, (_, index) => traceIds('run', 'rollout', index).traceId);
    const within = (ratio: number): string[] => ids.filter((id) => isWithinRatio(id, ratio));
    expect([within(0).length, within(1).length]).toEqual([0, 4000]);
    // Six standard deviations: sqrt(4000 * 0.1 * 0.9) = 19.
    expect(Math.abs(within(0.1).length - 400)).toBeLessThan(114);
    expect(within(0.3)).toEqual(expect.arrayContaining(within(0.1)));
  });
});

describe('RunTraces', () => {
  const ids = traceIds('run', 'rollout', 7);

  it('begins a trace that is sampled by ratio or because it is kept, and none at ratio 0', () => {
    const tiny = new RunTraces('run', 1e-9);
    const origin = tiny.rollout(7, 1000, false)!;
    expect(origin).toEqual({ traceparent: `00-${ids.traceId}-${ids.spanId}-00`, admittedAtMs: 1000 });
    expect(isSampled(origin)).toBe(false);
    expect(isSampled(tiny.rollout(7, 1000, true)!)).toBe(true);
    expect(sampledOrigin(origin)).toEqual(tiny.rollout(7, 1000, true));
    expect(tiny.step(3)).toBe(traceparentOf(traceIds('run', 'step', 3), true));
    const off = new RunTraces('run', 0);
    expect([off.rollout(7, 1000, true), off.step(3)]).toEqual([undefined, undefined]);
  });
});
