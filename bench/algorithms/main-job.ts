import { learningRun, type LearningRun } from '../learning/learning-run';

/** A run, or the reason why it failed. */
export type Attempt = LearningRun | string;

/** The same for every algorithm: no curriculum, since that draws by what each has learned, and a rate that steps don't change. */
const SETTING = [
  'task.curriculum.explore=1',
  'batch.groups=32',
  'batch.oversample=3',
  'trainer.learningRate=3e-4',
  'trainer.schedule=constant',
  'trainer.threads=2',
];

/** So many steps of the main job, with a look at its accuracy every ten. */
export function mainJob(overrides: readonly string[], steps: number): Attempt {
  const given = [`steps=${steps}`, 'stopAtAccuracy=1', 'evaluation.everySteps=10', ...SETTING, ...overrides];
  try {
    return learningRun('arithmetic-grpo', given);
  } catch (error) {
    return (error as Error).message;
  }
}
