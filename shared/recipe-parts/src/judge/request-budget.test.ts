import { RequestBudget, type Clock } from './request-budget';

/** A clock on which all sleep ends at once, and time has passed. */
function hurriedClock(): Clock {
  let ms = 0;
  return {
    now: () => ms,
    sleep: (time) => {
      ms += time;
      return Promise.resolve();
    },
  };
}

describe('RequestBudget', () => {
  it('lets so many go in any minute, in the order they come', async () => {
    const clock = hurriedClock();
    const budget = new RequestBudget(3, 100, clock);
    const starts = await Promise.all(
      Array.from({ length: 8 }, (_, i) => budget.spend(() => Promise.resolve([i, clock.now()]))),
    );
    expect(starts).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 60_000],
      [4, 60_000],
      [5, 60_000],
      [6, 120_000],
      [7, 120_000],
    ]);
  });

  it('lets so many go at a time, and the next one after a failure', async () => {
    const budget = new RequestBudget(1_000, 2, hurriedClock());
    let running = 0;
    let most = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 7 }, (_, i) =>
        budget.spend(async () => {
          most = Math.max(most, ++running);
          await new Promise(setImmediate);
          running -= 1;
          if (i % 2 === 0) throw new Error('no');
          return i;
        }),
      ),
    );
    expect(most).toBe(2);
    expect(results.map(({ status }) => status)).toEqual(
      [0, 1, 2, 3, 4, 5, 6].map((i) => (i % 2 === 0 ? 'rejected' : 'fulfilled')),
    );
  });
});
