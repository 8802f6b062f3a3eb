import fc from 'fast-check';
import { Deadlines } from './deadlines';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

describe('Deadlines', () => {
  it('are due once, never early, and within a tick of 5 ms', () => {
    const deadlines = new Deadlines();
    const startedAt = performance.now();
    const due = new Map<number, number>();
    const delays = [0, 1, 7, 50, 50, 51, 1_000, 30_000];
    delays.forEach((delayMs, i) => deadlines.set(delayMs, () => due.set(i, performance.now() - startedAt)));
    jest.advanceTimersByTime(31_000);
    expect(due.size).toBe(delays.length);
    delays.forEach((delayMs, i) => {
      expect(due.get(i)).toBeGreaterThanOrEqual(delayMs);
      expect(due.get(i)).toBeLessThanOrEqual(delayMs + 6);
    });
  });

  it('ask for no negative delay when the clock passes their tick meanwhile', () => {
    const timer = jest.spyOn(globalThis, 'setTimeout');
    let now = 0;
    new Deadlines(() => (now += 4.999)).set(0, () => undefined);
    expect(timer.mock.calls.map(([, delayMs]) => delayMs)).toEqual([0]);
  });

  it('use one timer, whatever their number', () => {
    const deadlines = new Deadlines();
    for (let i = 0; i < 1_000; i++) deadlines.set(1_000 + i, () => undefined);
    expect(jest.getTimerCount()).toBe(1);
  });

  it('that are withdrawn, also twice and by others of their tick, are not due', () => {
    const property = fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.boolean())),
      (plan) => {
        const deadlines = new Deadlines();
        const due: number[] = [];
        const set = plan.map(([delayMs], i) => deadlines.set(delayMs, () => due.push(i)));
        for (const [i, [, isWithdrawn]] of plan.entries()) if (isWithdrawn) deadlines.withdraw(set[i]!);
        for (const [i, [, isWithdrawn]] of plan.entries()) if (isWithdrawn) deadlines.withdraw(set[i]!);
        jest.advanceTimersByTime(100);
        for (const deadline of set) deadlines.withdraw(deadline);
        const kept = plan.flatMap(([, isWithdrawn], i) => (isWithdrawn ? [] : [i]));
        expect(due.sort((a, b) => a - b)).toEqual(kept);
      },
    );
    fc.assert(property, { seed: 1, numRuns: 200 });

    const deadlines = new Deadlines();
    const due: string[] = [];
    const first = deadlines.set(10, () => {
      due.push('first');
      deadlines.withdraw(second);
    });
    const second = deadlines.set(10, () => {
      due.push('second');
      deadlines.withdraw(first);
    });
    jest.advanceTimersByTime(100);
    expect(due).toHaveLength(1);
  });

  it('that are set when others are due are due in their turn', () => {
    const deadlines = new Deadlines();
    const due: number[] = [];
    const again = (): void => {
      if (due.push(performance.now()) < 3) deadlines.set(20, again);
    };
    deadlines.set(20, again);
    jest.advanceTimersByTime(100);
    expect(due).toHaveLength(3);
  });
});
