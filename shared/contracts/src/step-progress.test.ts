import { rolloutShare, stepShare, type StepProgress } from './step-progress';

const progress: StepProgress = {
  step: 3,
  stage: 'rollouts',
  groups: { done: 2, of: 8 },
  tokens: { done: 500, atMost: 1_000 },
  microBatches: null,
  elapsedMs: 30_000,
  expectedMs: null,
};

describe('stepShare', () => {
  it('is the share of the time where that is known, and never all of it', () => {
    expect(stepShare({ ...progress, expectedMs: 120_000 })).toBe(0.25);
    expect(stepShare({ ...progress, expectedMs: 30_000 })).toBe(0.99);
  });

  it('is else the share of the work of the stage', () => {
    expect(stepShare(progress)).toBe(0.5);
    expect(stepShare({ ...progress, stage: 'training' })).toBe(0);
    expect(stepShare({ ...progress, stage: 'training', microBatches: { done: 3, of: 4 } })).toBe(0.75);
  });
});

describe('rolloutShare', () => {
  it('goes by tokens while they say more than whole groups, and never takes them for all of it', () => {
    expect(rolloutShare(progress)).toBe(0.5);
    expect(rolloutShare({ ...progress, groups: { done: 6, of: 8 } })).toBe(0.75);
    expect(rolloutShare({ ...progress, tokens: { done: 5_000, atMost: 1_000 } })).toBe(0.99);
    expect(rolloutShare({ groups: { done: 8, of: 8 }, tokens: { done: 0, atMost: 0 } })).toBe(1);
  });
});
