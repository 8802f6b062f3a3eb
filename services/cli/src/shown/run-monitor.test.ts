import { PassThrough } from 'node:stream';
import type { RunState } from '@forge/broker';
import type { TelemetryEvent } from '@forge/contracts';
import { RunMonitor } from './run-monitor';
import type { RunHeader } from './view';

// An ES module, used on a terminal only.
jest.mock('log-update', () => ({ createLogUpdate: () => () => undefined }));

const header: RunHeader = {
  runId: 'run-1',
  recipe: 'r',
  seed: 1,
  steps: 2,
  maxStaleness: 0,
  startedAtMs: 0,
  directory: 'runs/run-1',
};

/** The output of a monitor, off a terminal, for a run that tells these events. */
async function shown(events: readonly TelemetryEvent[]): Promise<string> {
  const entries = events.map((event, i) => ({ id: `${i + 1}-0`, event }));
  const readTelemetry = (seen: string) => Promise.resolve(seen === '0' ? entries : []);
  const output = new PassThrough();
  const runState = { readTelemetry } as unknown as RunState;
  await new RunMonitor(runState, header, output as unknown as NodeJS.WriteStream).follow();
  return String(output.read());
}

describe('RunMonitor', () => {
  it('says once that held-out samples fail, and how to see which', async () => {
    const slice = { kind: 'evaluation', part: 0, parts: 1, correct: 5, total: 8, failed: 2 } as const;
    const end = { kind: 'run', state: 'finished' } as const;
    const text = await shown([{ ...slice, version: 0 }, { ...slice, version: 1 }, end]);
    expect(text.match(/^2 held-out samples .*$/gm)).toEqual([
      '2 held-out samples could not be answered or judged and count as wrong: forge dead-letter list run-1',
    ]);
    expect(await shown([{ ...slice, version: 0, failed: 0 }, end])).not.toMatch('held-out samples could');
  });

  it('says when no group of three steps in a row was informative', async () => {
    const step = (number: number, share: number) =>
      ({ kind: 'step', step: number, values: { 'groups/informative_share': share } }) as const;
    const end = { kind: 'run', state: 'finished' } as const;
    const barren = /^no group of the last 3 steps has anything to teach/gm;
    const shares = [0, 0, 0.1, 0, 0, 0, 0, 0.2];
    const text = await shown([...shares.map((share, i) => step(i + 1, share)), end]);
    expect(text.match(barren)).toHaveLength(1);
    expect(await shown([...[0, 0, 0.1, 0, 0].map((share, i) => step(i + 1, share)), end])).not.toMatch(
      barren,
    );
  });

  it('says what was not judged, which the accuracy leaves out, and when that is most of it', async () => {
    const slice = { kind: 'evaluation', parts: 2, total: 8, failed: 3, unjudged: 2 } as const;
    const end = { kind: 'run', state: 'finished' } as const;
    const few = [0, 1].map((part) => ({ ...slice, version: 0, part, correct: 3 }));
    const most = [0, 1].map((part) => ({ ...slice, version: 1, part, correct: 2, failed: 5, unjudged: 5 }));
    const text = await shown([...few, ...most, end]);
    expect(text.match(/^(.*held-out.*)$/gm)).toEqual([
      'a held-out sample could not be answered or judged and counts as wrong: forge dead-letter list run-1',
      'what judges failed for 2 held-out samples, which the accuracy leaves out: forge dead-letter list run-1',
      'most held-out samples of version 1 were not judged: its accuracy decides nothing',
    ]);
  });
});
