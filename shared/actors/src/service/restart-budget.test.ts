import { RestartBudget } from './restart-budget';

const policy = { maxRestarts: 6, stableMs: 1_000, backoffMs: 100, maxBackoffMs: 500 };

describe('RestartBudget', () => {
  it('starts at once, then waits twice as long each time, and gives up', () => {
    const budget = new RestartBudget(policy);
    const delays = Array.from({ length: 7 }, (_, i) => budget.next(i));
    expect(delays).toEqual([0, 100, 200, 400, 500, 500, null]);
    expect(budget.total).toBe(6);
  });

  it('starts anew after a replica was healthy long enough', () => {
    const budget = new RestartBudget(policy);
    budget.next(0);
    budget.healthy(0);
    expect(budget.next(999)).toBe(100);
    budget.healthy(2_000);
    expect(budget.next(3_000)).toBe(0);
    // Failing to start is no time of health.
    expect(budget.next(9_000)).toBe(100);
  });
});
