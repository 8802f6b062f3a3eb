import { waitFor } from '@forge/testing';
import type { SinkRow } from './metric-sink';
import { PatientSink } from './patient-sink';

const row = (step: number): SinkRow => ({ step, atMs: 0, values: { loss: 1 } });
let warnings: unknown[];
let written: number[];
let isDown: boolean;
let tries: number;
const logger = { warn: (...args: unknown[]) => warnings.push(args) };
const sink = {
  name: 'fake',
  write: async (rows: readonly SinkRow[]) => {
    tries += 1;
    if (isDown) throw new Error('down');
    await Promise.resolve();
    written.push(...rows.map(({ step }) => step));
  },
  close: () => (isDown ? Promise.reject(new Error('down')) : Promise.resolve()),
};
beforeEach(() => {
  warnings = [];
  written = [];
  isDown = false;
  tries = 0;
});

describe('PatientSink', () => {
  it('hands rows on in order', async () => {
    const patient = new PatientSink(sink, logger);
    for (const step of [1, 2, 3]) patient.add([row(step)]);
    await patient.close('finished');
    expect([written, warnings]).toEqual([[1, 2, 3], []]);
  });

  it('warns once of a sink that is down, and gives it all rows when it is back', async () => {
    isDown = true;
    const patient = new PatientSink(sink, logger, 10);
    patient.add([row(1)]);
    await waitFor('several tries', () => tries >= 2);
    patient.add([row(2)]);
    isDown = false;
    await waitFor('rows', () => written.length === 2);
    await patient.close('finished');
    expect(written).toEqual([1, 2]);
    expect(warnings).toHaveLength(1);
  });

  it('lets a run end whose sink is down or hangs, and says how much it missed', async () => {
    isDown = true;
    const patient = new PatientSink(sink, logger);
    patient.add([row(1), row(2)]);
    await patient.close('failed');
    const hanging = new PatientSink({ ...sink, write: () => new Promise(() => undefined) }, logger, 1, 20);
    hanging.add([row(1)]);
    await hanging.close('failed');
    expect(warnings).toEqual([
      [{ err: new Error('down'), sink: 'fake' }, 'a metric sink does not work; the run goes on'],
      [{ sink: 'fake', rows: 2 }, 'a metric sink missed rows'],
      [{ sink: 'fake', rows: 1 }, 'a metric sink missed rows'],
    ]);
  });

  it('keeps the newest rows of too many', async () => {
    isDown = true;
    const patient = new PatientSink(sink, logger, 10);
    patient.add(Array.from({ length: 10_005 }, (_, step) => row(step)));
    isDown = false;
    await patient.close('finished');
    expect([written.length, written[0]]).toEqual([10_000, 5]);
    expect(warnings.at(-1)).toEqual([{ sink: 'fake', rows: 5 }, 'a metric sink missed rows']);
  });
});
