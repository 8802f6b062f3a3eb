import type { TelemetryEvent } from '@forge/contracts';
import { implausible } from './plausible-event';

const reasonOf = (event: TelemetryEvent): string | undefined =>
  implausible(event, { version: 5, admitted: 40, phase: 'stopping' })?.message;
const evaluation = {
  kind: 'evaluation',
  version: 5,
  part: 1,
  parts: 2,
  correct: 3,
  total: 4,
  failed: 1,
} as const;
const rollout: TelemetryEvent = {
  kind: 'rollout',
  index: 39,
  version: 5,
  prompt: '',
  texts: [],
  rewards: [],
};

const control: TelemetryEvent = {
  kind: 'control',
  id: 'x',
  version: 5,
  operation: 'pause',
  name: '',
  from: '',
  to: '',
};

const progressOf = (step: number): TelemetryEvent => ({
  kind: 'progress',
  progress: {
    ...{ step, stage: 'training', groups: { done: 8, of: 8 }, tokens: { done: 9, atMost: 90 } },
    ...{ microBatches: { done: 1, of: 4 }, elapsedMs: 1, expectedMs: null },
  },
});

describe('implausible', () => {
  it.each<TelemetryEvent>([
    { kind: 'step', step: 5, values: { loss: 1, 'reward/exact': 0 } },
    progressOf(6),
    evaluation,
    { ...evaluation, unjudged: 1 },
    { kind: 'service', service: 'policy', replica: '0', values: { tokens: 3 } },
    rollout,
    control,
    { kind: 'waiting', for: null },
    { kind: 'run', state: 'saved' },
    { kind: 'run', state: 'stopping', message: 'enough' },
    { kind: 'run', state: 'interrupted' },
  ])('takes what may be of this run: %j', (event: TelemetryEvent) => {
    expect(reasonOf(event)).toBeUndefined();
  });

  it.each<[TelemetryEvent, string]>([
    [{ kind: 'step', step: 6, values: {} }, 'step 6 of a run at version 5'],
    [progressOf(7), 'step 7 of a run at version 5'],
    [{ ...evaluation, version: 6 }, 'version 6 of a run at 5'],
    [{ ...evaluation, part: 2 }, 'part 2 of 2'],
    [{ ...evaluation, correct: 4 }, 'part 1 of 2'],
    [{ ...evaluation, unjudged: 2 }, 'part 1 of 2'],
    [{ kind: 'run', state: 'finished' }, 'run that is finished: it is stopping'],
    [{ kind: 'run', state: 'failed' }, 'run that is failed: it is stopping'],
    [{ ...control, version: 6 }, 'version 6 of a run at 5'],
    [{ ...rollout, index: 40 }, 'group 40'],
    [{ ...rollout, version: 6 }, 'version 6 of a run at 5'],
  ])('refuses what can not be: %j', (event, what) => {
    expect(reasonOf(event)).toBe(`telemetry: there is no ${what}`);
  });
});
