import type { RunRecord } from '@forge/runs';
import { metricsRow, runListing } from './run-listing';

const record: RunRecord = {
  ...{ id: 'run', recipe: 'arithmetic-grpo', seed: 3, steps: 50, startedAt: '2026-11-23T10:20:30.456Z' },
  ...{
    pid: 1,
    pidMark: null,
    redisUrl: '',
    redisPasswordFile: null,
    redisDir: null,
    keepStateHours: 72,
    state: 'running',
  },
};
const entry = { id: 'run', record, problem: null };

describe('runListing', () => {
  it('goes by the metrics while there is no summary', () => {
    const first = { step: 1, 'eval/accuracy': 0.4 };
    const newest = { step: 7, 'eval/accuracy': 0.6 };
    expect(runListing(entry, { summary: null, first, newest })).toEqual({
      ...{ id: 'run', recipe: 'arithmetic-grpo', seed: 3, state: 'running', message: null, problem: null },
      ...{ startedAt: '2026-11-23T10:20:30.456Z', step: 7, steps: 50, startAccuracy: 0.4, accuracy: 0.6 },
    });
  });

  it('goes by the summary when the run is over', () => {
    const summary = { steps: 9, startAccuracy: 0.3, finalAccuracy: null };
    const over = runListing(entry, { summary, first: null, newest: { step: 8, 'eval/accuracy': 0.5 } });
    expect(over).toMatchObject({ step: 9, startAccuracy: 0.3, accuracy: 0.5 });
  });

  it('says nothing but the problem of a run that can not be read', () => {
    const unreadable = { id: 'newer', record: null, problem: 'run.json: shards' };
    const listing = runListing(unreadable, { summary: null, first: null, newest: null });
    expect(listing).toMatchObject({ id: 'newer', recipe: '', steps: 0, problem: 'run.json: shards' });
  });
});

describe('metricsRow', () => {
  it('is an object with a step', () => {
    expect(metricsRow({ step: 1, loss: 2 })).toEqual({ step: 1, loss: 2 });
    for (const line of [null, 7, [], { loss: 2 }]) expect(metricsRow(line)).toBeNull();
  });
});
