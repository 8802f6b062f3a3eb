import { learningRateAt, type LearningRateSchedule } from './learning-rate';

const plan = (changes: Partial<LearningRateSchedule>): LearningRateSchedule => ({
  learningRate: 0.4,
  schedule: 'constant',
  warmupSteps: 0,
  totalSteps: 10,
  ...changes,
});
const rates = (changes: Partial<LearningRateSchedule>, steps: readonly number[]): number[] =>
  steps.map((step) => learningRateAt(step, plan(changes)));

describe('learningRateAt', () => {
  it('rises linearly to the peak during the warm-up and then keeps it', () => {
    expect(rates({ warmupSteps: 4 }, [0, 1, 2, 3, 4, 100])).toEqual([0.1, 0.2, 0.4 * 0.75, 0.4, 0.4, 0.4]);
  });

  it('falls along a line to zero one step past the last', () => {
    const found = rates({ schedule: 'linear', warmupSteps: 2 }, [1, 2, 6, 9, 10, 11]);
    [0.4, 0.4, 0.2, 0.05, 0, 0].forEach((expected, i) => expect(found[i]).toBeCloseTo(expected, 12));
  });

  it('falls along half a cosine', () => {
    const found = rates({ schedule: 'cosine', totalSteps: 8 }, [0, 2, 4, 8]);
    [0.4, 0.2 * (1 + Math.SQRT1_2), 0.2, 0].forEach((expected, i) =>
      expect(found[i]).toBeCloseTo(expected, 12),
    );
  });

  it('stays finite when the warm-up is as long as the run', () => {
    expect(rates({ schedule: 'linear', warmupSteps: 10 }, [9, 10])).toEqual([0.4, 0.4]);
  });
});
