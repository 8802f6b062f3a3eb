import type { TelemetryEvent } from '@forge/contracts';
import { PlainLines } from './plain-lines';
import { advance, emptyProgress } from './progress';
import type { RunHeader } from './view';

const header: RunHeader = {
  ...{ runId: 'run', recipe: 'slow', seed: 1, steps: 6, maxStaleness: 0 },
  ...{ startedAtMs: 0, directory: 'runs/run' },
};

/** The lines that events make, each at a second. */
function linesOf(...events: [seconds: number, event: TelemetryEvent][]): string[] {
  const lines = new PlainLines(header, 0);
  let progress = advance(emptyProgress(), { kind: 'run', state: 'running' }, 0);
  return events.flatMap(([seconds, event]) => {
    const before = progress;
    progress = advance(before, event, 1000 * seconds);
    return lines.after(before, progress, 1000 * seconds);
  });
}

const step = (n: number): TelemetryEvent => ({ kind: 'step', step: n, values: { 'reward/mean': 0.5 } });
const training = (done: number, elapsedMs: number): TelemetryEvent => ({
  kind: 'progress',
  progress: {
    ...{ step: 1, stage: 'training', groups: { done: 8, of: 8 }, tokens: { done: 90, atMost: 900 } },
    ...{ microBatches: { done, of: 4 }, elapsedMs, expectedMs: 80_000 },
  },
});

describe('PlainLines', () => {
  it('tell of a slow step half a minute into it, and when it is done', () => {
    const lines = linesOf(
      [5, training(0, 5_000)],
      [31, training(1, 31_000)],
      [32, training(1, 32_000)],
      [62, training(3, 62_000)],
      [80, step(1)],
    );
    expect(lines).toEqual([
      'step 1/6: training, 1 of 4 micro-batches, 0:31 of about 1:20',
      'step 1/6: training, 3 of 4 micro-batches, 1:02 of about 1:20',
      expect.stringMatching(/^step 1\/6 {2}reward 0.500 /),
    ]);
  });

  it('tell of every tenth quick step', () => {
    const steps = Array.from({ length: 12 }, (_, k): [number, TelemetryEvent] => [k / 10, step(k + 1)]);
    expect(linesOf(...steps)).toEqual([expect.stringMatching(/^step 10\/6 /)]);
  });

  it('say what the run waits for, and that it goes on', () => {
    expect(
      linesOf([1, { kind: 'waiting', for: 'a policy to be ready' }], [2, { kind: 'waiting', for: null }]),
    ).toEqual(['waiting for a policy to be ready', 'the run goes on']);
  });
});
