import type { StepProgress } from '@forge/contracts';
import { advance, busyShare, emptyProgress, generatedPerSecond, stepUnderWay, timeLeftMs } from './progress';
import { headerNow, type RunHeader } from './view';

const slow: StepProgress = {
  step: 1,
  stage: 'training',
  groups: { done: 8, of: 8 },
  tokens: { done: 900, atMost: 1_000 },
  microBatches: { done: 3, of: 16 },
  elapsedMs: 20_000,
  expectedMs: 60_000,
};

const slice = (part: number, correct: number) =>
  ({ kind: 'evaluation', version: 20, part, parts: 2, correct, total: 50 }) as const;

describe('advance', () => {
  it('counts an evaluation once all its parts are in', () => {
    const half = advance(emptyProgress(), slice(0, 40), 0);
    expect(half.evaluations).toEqual([]);
    expect(advance(half, slice(1, 20), 0).evaluations).toEqual([{ version: 20, accuracy: 0.6, unjudged: 0 }]);
  });

  it('ignores a part that is delivered twice', () => {
    const twice = advance(advance(emptyProgress(), slice(0, 40), 0), slice(0, 40), 0);
    expect(advance(twice, slice(1, 20), 0).evaluations).toEqual([
      { version: 20, accuracy: 0.6, unjudged: 0 },
    ]);
  });

  it('knows what the run waits for until it goes on', () => {
    const waiting = advance(emptyProgress(), { kind: 'waiting', for: 'a policy to be ready' }, 0);
    expect(waiting.waitingFor).toBe('a policy to be ready');
    expect(advance(waiting, { kind: 'waiting', for: null }, 0).waitingFor).toBeNull();
  });

  it('follows what a run is set to, and says each change in words', () => {
    const change = { kind: 'control', id: 'a', version: 3 } as const;
    const set = { ...change, operation: 'set', name: 'maxStaleness', from: '0', to: 'inf' } as const;
    const after = advance(emptyProgress(), set, 0);
    expect(after).toMatchObject({ settings: { maxStaleness: 'inf' }, change: 'set maxStaleness: 0 -> inf' });
    expect(headerNow({ steps: 7, maxStaleness: 0 } as RunHeader, after)).toEqual({
      steps: 7,
      maxStaleness: Infinity,
    });
    const paused = { ...change, operation: 'pause', name: 'admission', from: '', to: '1' } as const;
    expect(advance(after, paused, 0)).toMatchObject({ settings: after.settings, change: 'admission paused' });
    const restart = { ...change, operation: 'restart', name: 'policy/0', from: '', to: '' } as const;
    expect(advance(after, restart, 0).change).toBe('restart policy/0');
  });

  it('follows how far the step under way is until it is committed', () => {
    const told = { kind: 'progress', progress: slow } as const;
    const during = advance(emptyProgress(), told, 1_000);
    expect(during.current).toEqual({ progress: slow, atMs: 1_000 });
    expect(advance(during, { kind: 'step', step: 1, values: {} }, 2_000).current).toBeNull();
    const after = advance(emptyProgress(), { kind: 'step', step: 1, values: {} }, 0);
    expect(advance(after, told, 1_000).current).toBeNull();
  });

  it('keeps the values of earlier steps that a later one does not report', () => {
    const first = advance(emptyProgress(), { kind: 'step', step: 1, values: { loss: 1, 'lag/max': 2 } }, 0);
    expect(advance(first, { kind: 'step', step: 2, values: { loss: 3 } }, 0).values).toEqual({
      loss: 3,
      'lag/max': 2,
    });
  });
});

describe('stepUnderWay', () => {
  const during = (progress: StepProgress, state = 'running') => ({
    ...advance(emptyProgress(), { kind: 'progress', progress }, 1_000),
    state,
  });

  it('goes on between two words of it', () => {
    expect(stepUnderWay(during(slow), 6_000)).toMatchObject({ elapsedMs: 25_000, expectedMs: 60_000 });
    expect(stepUnderWay(during(slow), 61_000)).toMatchObject({ elapsedMs: 80_000, expectedMs: 80_000 });
  });

  it('is not shown of quick steps, nor of a run that stops', () => {
    expect(stepUnderWay(during({ ...slow, elapsedMs: 500, expectedMs: 900 }), 1_000)).toBeNull();
    expect(stepUnderWay(during({ ...slow, elapsedMs: 500, expectedMs: null }), 1_000)).toBeNull();
    expect(stepUnderWay(during(slow, 'stopping'), 1_000)).toBeNull();
  });
});

describe('timeLeftMs', () => {
  it('extends the pace since the first step', () => {
    const first = advance(emptyProgress(), { kind: 'step', step: 1, values: {} }, 1000);
    const eleventh = advance(first, { kind: 'step', step: 11, values: {} }, 3000);
    expect(timeLeftMs(eleventh, 21, 3000)).toBe(2000);
  });

  it('knows nothing before the second step', () => {
    expect(timeLeftMs(emptyProgress(), 10, 0)).toBeNull();
  });

  it('leaves out the steps of before a run was resumed', () => {
    const step = (number: number) => ({ kind: 'step', step: number, values: {} }) as const;
    const resumed = advance(emptyProgress(), step(100), null);
    expect(timeLeftMs(resumed, 110, 5000)).toBeNull();
    const goesOn = advance(advance(resumed, step(101), 6000), step(103), 8000);
    expect(timeLeftMs(goesOn, 110, 8000)).toBe(7000);
  });
});

describe('busyShare and generatedPerSecond', () => {
  const report = (service: string, replica: string, values: Record<string, number>) =>
    ({ kind: 'service', service, replica, values }) as const;
  const both = [
    report('policy', '0', { busyMs: 250, tokens: 100, intervalMs: 1000 }),
    report('policy', '1', { busyMs: 750, tokens: 300, intervalMs: 2000 }),
  ].reduce((progress, event) => advance(progress, event, 0), emptyProgress());

  it('average shares and add rates over the replicas of a service', () => {
    expect(busyShare(both, 'policy')).toBeCloseTo((0.25 + 0.375) / 2);
    expect(generatedPerSecond(both)).toBe(250);
  });

  it('know nothing of a service that has not reported', () => {
    expect(busyShare(both, 'trainer')).toBeUndefined();
  });
});

describe('the progress of a run that somebody tells of services it does not have', () => {
  it('keeps the newest reports, and no more of them than there can be', () => {
    let progress = emptyProgress();
    const report = (service: string) => {
      const event = { kind: 'service', service, replica: '0', values: { busyMs: 1 } } as const;
      progress = advance(progress, event, 0);
    };
    report('policy');
    for (let i = 0; i < 1_000; i++) {
      report(`nobody-${i}`);
      if (i % 100 === 0) report('policy');
    }
    expect(progress.services.size).toBe(256);
    expect(progress.services.has('policy/0')).toBe(true);
  });
});
