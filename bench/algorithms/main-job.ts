import { learningRun, type LearningRun } from '../learning/learning-run';

/** A run, or the reason why it failed. */
export type Attempt = LearningRun | string;

/** So many steps of the main job, with a look at its accuracy every ten. */
export function mainJob(overrides: readonly string[], steps: number): Attempt {
  const given = [`steps=${steps}`, 'stopAtAccuracy=1', 'evaluation.everySteps=10', ...overrides];
  try {
    return learningRun('arithmetic-grpo', given);
  } catch (error) {
    return (error as Error).message;
  }
}
