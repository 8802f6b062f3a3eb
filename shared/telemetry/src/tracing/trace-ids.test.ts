import { isWithinRatio, traceIds, traceparentOf, type Fate } from './trace-ids';
import type { TraceOrigin } from '@forge/contracts';
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
  const originOf = (kept: number, exported: number, isKept: boolean) =>
    new RunTraces('run', { kept, exported }).rollout(7, 1000, isKept);
  const as = (fate: Fate) => ({ traceparent: traceparentOf(ids, fate), admittedAtMs: 1000 });

  it('decides by ratio what becomes of a trace, and keeps what is to be kept', () => {
    expect(originOf(1e-9, 0, false)).toBeUndefined();
    expect(originOf(1e-9, 1, false)).toEqual(as('exported'));
    expect(originOf(1, 1e-9, false)).toEqual(as('kept'));
    expect(originOf(1e-9, 0, true)).toEqual(as('kept'));
    expect(originOf(0, 1, true)).toEqual(as('exported'));
    expect(originOf(0, 0, true)).toBeUndefined();
  });

  it('keeps what has turned out to be worth it, from its admission where that is known', () => {
    const keptOf = (kept: number, exported: number, origin?: TraceOrigin) =>
      new RunTraces('run', { kept, exported }).kept(7, origin, 2000);
    expect(keptOf(1e-9, 0)).toEqual({ ...as('kept'), admittedAtMs: 2000 });
    expect(keptOf(1e-9, 1, as('exported'))).toEqual(as('kept'));
    expect(keptOf(0, 1, as('exported'))).toEqual(as('exported'));
    expect(keptOf(0, 0)).toBeUndefined();
  });

  it('traces every step when anything is traced', () => {
    const step = (kept: number, exported: number) => new RunTraces('run', { kept, exported }).step(3);
    const stepIds = traceIds('run', 'step', 3);
    expect(step(1e-9, 0)).toBe(traceparentOf(stepIds, 'kept'));
    expect(step(0, 1e-9)).toBe(traceparentOf(stepIds, 'exported'));
    expect(step(0, 0)).toBeUndefined();
  });
});
