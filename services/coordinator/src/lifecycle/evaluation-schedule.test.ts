import { Evaluations } from '../evaluations';
import { EvaluationSchedule } from './evaluation-schedule';

function scheduled(everySteps: number) {
  const evaluations = new Evaluations();
  const answered = (version: number) => evaluations.restore({ version, accuracy: 0.5, unjudged: 0 });
  return { schedule: new EvaluationSchedule(everySteps, evaluations), answered };
}

describe('EvaluationSchedule', () => {
  it('evaluates version 0, then every everySteps-th version, one at a time', () => {
    const { schedule, answered } = scheduled(10);
    expect(schedule.next(0, false)).toBe(0);
    expect(schedule.next(10, false)).toBeNull();
    expect(schedule.outstandingVersion).toBe(0);
    answered(0);
    expect(schedule.outstandingVersion).toBeNull();
    expect(schedule.next(9, false)).toBeNull();
    expect(schedule.next(10, false)).toBe(10);
  });

  it('answers what became due meanwhile with the newest version, then keeps to the schedule', () => {
    const { schedule, answered } = scheduled(5);
    schedule.next(0, false);
    answered(0);
    expect(schedule.next(17, false)).toBe(17);
    answered(17);
    expect(schedule.next(19, false)).toBeNull();
    expect(schedule.next(20, false)).toBe(20);
  });

  it('evaluates the final version once, in or out of the schedule', () => {
    const { schedule, answered } = scheduled(10);
    answered(10);
    expect(schedule.next(13, true)).toBe(13);
    answered(13);
    expect(schedule.next(13, true)).toBeNull();
    expect(schedule.isDone(13)).toBe(true);
  });

  it('asks for nothing that an earlier coordinator asked for and got', () => {
    const { schedule, answered } = scheduled(5);
    answered(5);
    expect(schedule.next(5, false)).toBeNull();
  });

  it('knows which versions it includes', () => {
    const { schedule } = scheduled(5);
    expect([0, 4, 5].map((version) => schedule.includes(version))).toEqual([true, false, true]);
  });

  it('has nothing to do when switched off', () => {
    const { schedule } = scheduled(0);
    expect(schedule.next(0, true)).toBeNull();
    expect(schedule.includes(0)).toBe(false);
    expect(schedule.isDone(7)).toBe(true);
  });
});
