/** The course of the learning rate over a run. Steps count optimizer updates. */
export interface LearningRateSchedule {
  /** The peak, reached at the end of the warm-up. */
  learningRate: number;
  /** The course after the warm-up: the peak kept, or a fall to zero after `totalSteps` by a line or half a cosine. */
  schedule: 'constant' | 'linear' | 'cosine';
  /** Steps over which the rate rises linearly; 0 starts at the peak. */
  warmupSteps: number;
  /** Steps of the whole run; `constant` does not look at it. */
  totalSteps: number;
}

/**
 * The learning rate of update `step` (0 is the first).
 *
 * The warm-up gives its i-th step i / warmupSteps of the peak, so the first update already learns. A decaying
 * schedule is at the peak on the first step after the warm-up and would reach zero on step `totalSteps`, one
 * past the last.
 */
export function learningRateAt(step: number, plan: LearningRateSchedule): number {
  const { learningRate, schedule, warmupSteps, totalSteps } = plan;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  if (schedule === 'constant') return learningRate;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return learningRate * (schedule === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2);
}
