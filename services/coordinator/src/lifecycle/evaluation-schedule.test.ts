import { EvaluationSchedule } from './evaluation-schedule';

const slice = (version: number, part: number, correct: number, parts = 2) => ({
  kind: 'evaluation' as const,
  version,
  part,
  parts,
  correct,
  total: 4,
});

describe('EvaluationSchedule', () => {
  it('evaluates version 0, then every everySteps-th version, one at a time', () => {
    const schedule = new EvaluationSchedule(10);
    expect(schedule.next(0, false)).toBe(0);
    expect(schedule.next(10, false)).toBeNull();
    expect(schedule.record(slice(0, 0, 1))).toBeNull();
    expect(schedule.record(slice(0, 1, 2))).toEqual({ version: 0, accuracy: 0.375 });
    expect(schedule.next(9, false)).toBeNull();
    expect(schedule.next(10, false)).toBe(10);
  });

  it('counts a slice delivered twice once, also after the last one', () => {
    const schedule = new EvaluationSchedule(1);
    schedule.next(0, false);
    schedule.record(slice(0, 0, 4));
    expect(schedule.record(slice(0, 0, 4))).toBeNull();
    expect(schedule.record(slice(0, 1, 0))).toEqual({ version: 0, accuracy: 0.5 });
    expect(schedule.record(slice(0, 1, 0))).toBeNull();
    expect(schedule.results).toHaveLength(1);
  });

  it('is void when not one sample could be judged', () => {
    const schedule = new EvaluationSchedule(1);
    schedule.next(0, false);
    schedule.record({ ...slice(0, 0, 0), failed: 4 });
    expect(schedule.record({ ...slice(0, 1, 0), failed: 3 })).toEqual({ version: 0, accuracy: 0 });
    schedule.record({ ...slice(1, 0, 0), failed: 4 });
    expect(schedule.record({ ...slice(1, 1, 0), failed: 4 })).toEqual({
      version: 1,
      accuracy: 0,
      isVoid: true,
    });
  });

  it('answers what became due meanwhile with the newest version, then keeps to the schedule', () => {
    const schedule = new EvaluationSchedule(5);
    schedule.next(0, false);
    schedule.record(slice(0, 0, 1, 1));
    expect(schedule.next(17, false)).toBe(17);
    schedule.record(slice(17, 0, 1, 1));
    expect(schedule.next(19, false)).toBeNull();
    expect(schedule.next(20, false)).toBe(20);
  });

  it('evaluates the final version once, in or out of the schedule', () => {
    const schedule = new EvaluationSchedule(10);
    schedule.restore({ version: 10, accuracy: 0.4 });
    expect(schedule.next(13, true)).toBe(13);
    schedule.record(slice(13, 0, 3, 1));
    expect(schedule.next(13, true)).toBeNull();
    expect(schedule.isDone(13)).toBe(true);
  });

  it('takes in slices that an earlier coordinator asked for', () => {
    const schedule = new EvaluationSchedule(5);
    expect(schedule.record(slice(5, 0, 4, 1))).toEqual({ version: 5, accuracy: 1 });
    expect(schedule.next(5, false)).toBeNull();
  });

  it('knows which versions it includes', () => {
    const schedule = new EvaluationSchedule(5);
    expect([0, 4, 5].map((version) => schedule.includes(version))).toEqual([true, false, true]);
  });

  it('has nothing to do when switched off', () => {
    const schedule = new EvaluationSchedule(0);
    expect(schedule.next(0, true)).toBeNull();
    expect(schedule.includes(0)).toBe(false);
    expect(schedule.isDone(7)).toBe(true);
  });
});
