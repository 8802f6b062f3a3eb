import { ActivityClock } from './activity-clock';

let nowMs: number;
let clock: ActivityClock;
beforeEach(() => {
  nowMs = 0;
  clock = new ActivityClock(['busy', 'waits/reward'], () => nowMs);
});

describe('ActivityClock', () => {
  it('counts every moment once, for the first activity in order', () => {
    const waits = clock.begin('waits/reward');
    nowMs = 10;
    const [one, other] = [clock.begin('busy'), clock.begin('busy')];
    nowMs = 30;
    one();
    nowMs = 35;
    other();
    nowMs = 50;
    waits();
    nowMs = 57;
    expect(clock.totals()).toEqual({ busyMs: 25, 'waits/rewardMs': 25, idleMs: 7 });
  });

  it('ends the activity of work that fails', async () => {
    const work = () => {
      nowMs = 4;
      throw new RangeError('no');
    };
    await expect(clock.during('busy', work)).rejects.toThrow('no');
    nowMs = 9;
    expect(clock.totals()).toEqual({ busyMs: 4, 'waits/rewardMs': 0, idleMs: 5 });
  });
});
