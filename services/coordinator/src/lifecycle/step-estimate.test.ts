import { StepEstimate, type WorkNow } from './step-estimate';

const rollouts = (step: number, done: number, tokens = 0): WorkNow => ({
  step,
  stage: 'rollouts',
  groups: { done, of: 4 },
  tokens: { done: tokens, atMost: 1000 },
  microBatches: null,
});
const training = (step: number, done: number): WorkNow => ({
  ...rollouts(step, 4),
  stage: 'training',
  microBatches: { done, of: 10 },
});

/** An estimate after a step of 40 s of rollouts and 20 s of training; the next one begins at 60 s. */
function afterOneStep(): StepEstimate {
  const estimate = new StepEstimate();
  estimate.progress(rollouts(1, 0), 0);
  estimate.progress(training(1, 0), 40_000);
  estimate.progress(rollouts(2, 0), 60_000);
  return estimate;
}

describe('StepEstimate', () => {
  it('knows nothing of the first step before its first micro-batch is done', () => {
    const estimate = new StepEstimate();
    expect(estimate.progress(rollouts(1, 2), 5_000)).toMatchObject({ elapsedMs: 0, expectedMs: null });
    expect(estimate.progress(rollouts(1, 3), 9_000)).toMatchObject({ elapsedMs: 4_000, expectedMs: null });
    expect(estimate.progress(training(1, 0), 15_000).expectedMs).toBeNull();
  });

  it('extends the pace of the micro-batches of the first step', () => {
    const estimate = new StepEstimate();
    estimate.progress(rollouts(1, 0), 0);
    estimate.progress(training(1, 0), 10_000);
    // 2 of 10 micro-batches in 6 s: 30 s of training behind 10 s of rollouts.
    expect(estimate.progress(training(1, 2), 16_000)).toMatchObject({
      elapsedMs: 16_000,
      expectedMs: 40_000,
    });
    // A look without a new micro-batch changes nothing.
    expect(estimate.progress(training(1, 2), 18_000).expectedMs).toBe(40_000);
  });

  it('begins with the time of the step before, and moves to its own pace', () => {
    const estimate = afterOneStep();
    expect(estimate.progress(rollouts(2, 0), 61_000)).toMatchObject({ elapsedMs: 1_000, expectedMs: 60_000 });
    // Half of the groups took 40 s, which makes 80 s; before it was 40 s: 60 s between, and 20 s of training.
    expect(estimate.progress(rollouts(2, 2), 100_000).expectedMs).toBe(80_000);
    // 50 s of rollouts; half of the training took 5 s, which makes 10 s; before it was 20 s.
    estimate.progress(training(2, 0), 110_000);
    expect(estimate.progress(training(2, 5), 115_000).expectedMs).toBe(65_000);
  });

  it('goes by tokens while no group is done', () => {
    const estimate = afterOneStep();
    // A quarter of the tokens took 20 s, which makes 80 s; before it was 40 s.
    expect(estimate.progress(rollouts(2, 0, 250), 80_000).expectedMs).toBe(
      0.75 * 40_000 + 0.25 * 80_000 + 20_000,
    );
  });

  it('counts what was there when the step began to no pace', () => {
    const estimate = afterOneStep();
    estimate.progress(rollouts(3, 2), 120_000);
    // One of the two groups that were missing took 30 s, which makes 60 s; of the steps before, 60 s count the most.
    expect(estimate.progress(rollouts(3, 3), 150_000).expectedMs).toBe(0.5 * 60_000 + 0.5 * 60_000 + 20_000);
  });

  it('is never less than the time that has passed', () => {
    expect(afterOneStep().progress(rollouts(2, 0), 160_000)).toMatchObject({
      elapsedMs: 100_000,
      expectedMs: 120_000,
    });
  });

  it('shares the time among steps that passed between two looks', () => {
    const estimate = new StepEstimate();
    estimate.progress(rollouts(1, 0), 0);
    expect(estimate.progress(rollouts(5, 0), 1_000).expectedMs).toBe(250);
  });
});
