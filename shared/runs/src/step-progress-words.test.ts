import { stepProgressWords } from './step-progress-words';

const progress = {
  step: 3,
  stage: 'rollouts' as const,
  groups: { done: 2, of: 8 },
  tokens: { done: 1_234, atMost: 8_192 },
  microBatches: null,
  elapsedMs: 42_000,
  expectedMs: null,
};

describe('stepProgressWords', () => {
  it('says how many groups and tokens the policies have', () => {
    expect(stepProgressWords(progress)).toBe('rollouts, 2 of 8 groups, 1,234 tokens, 0:42');
  });

  it('says how many micro-batches the trainer has, and how long a step takes', () => {
    const training = { ...progress, stage: 'training' as const, expectedMs: 70_000 };
    expect(stepProgressWords(training)).toBe('training, 0:42 of about 1:10');
    const microBatches = { done: 3, of: 16 };
    expect(stepProgressWords({ ...training, microBatches })).toBe(
      'training, 3 of 16 micro-batches, 0:42 of about 1:10',
    );
  });
});
