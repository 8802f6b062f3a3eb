import { StepWork } from './step-work';

const policy = (tokens: number) => ({ service: 'policy', values: { tokens } });
const trainer = (step: number, done: number, of: number) => ({
  service: 'trainer',
  values: { 'step/number': step, 'step/microBatchesDone': done, 'step/microBatches': of },
});

describe('StepWork', () => {
  it('counts the tokens of all policies since the newest step', () => {
    const work = new StepWork();
    for (const tokens of [30, 12]) work.addReport(policy(tokens));
    work.beginNext();
    work.addReport(policy(5));
    expect([work.tokens, work.totalTokens]).toEqual([5, 47]);
  });

  it('knows the micro-batches of the step that the trainer told of last, and of no other', () => {
    const work = new StepWork();
    work.addReport(trainer(3, 1, 4));
    work.addReport(trainer(3, 2, 4));
    work.addReport({ service: 'trainer', values: { busyMs: 1 } });
    expect([work.microBatchesOf(3), work.microBatchesOf(4)]).toEqual([{ done: 2, of: 4 }, null]);
  });

  it('ignores invalid counts', () => {
    const work = new StepWork();
    work.addReport(trainer(3, 0.5, 4));
    expect(work.microBatchesOf(3)).toBeNull();
  });
});
