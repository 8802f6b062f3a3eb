import { RestartWindow } from './restart-window';

describe('RestartWindow', () => {
  it('pauses longer with every death within a minute, and gives up after so many', () => {
    const window = new RestartWindow(8);
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8].map((second) => window.next(second * 1000))).toEqual([
      0,
      250,
      500,
      1000,
      2000,
      4000,
      5000,
      5000,
      null,
    ]);
  });

  it('forgets what died a minute ago', () => {
    const window = new RestartWindow(2);
    expect([0, 30_000, 59_999, 60_000, 90_000, 150_000].map((ms) => window.next(ms))).toEqual([
      0,
      250,
      null,
      250,
      250,
      0,
    ]);
  });
});
