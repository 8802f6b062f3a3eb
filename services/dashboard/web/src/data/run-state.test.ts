import type { ControlChange, SampleRollout } from '../../../src/api';
import { NOTHING_KNOWN, withEvent, withRows } from './run-state';

const sample = (index: number): SampleRollout => ({ index, version: 0, prompt: '', completions: [] });
const change = (seconds: number): ControlChange => ({
  version: 1,
  seconds,
  operation: 'set',
  name: 'steps',
  from: '1',
  to: '2',
});

describe('withRows', () => {
  it('appends the rows that come behind', () =>
    expect(withRows([{ step: 1 }], [{ step: 2 }, { step: 3 }])).toEqual([
      { step: 1 },
      { step: 2 },
      { step: 3 },
    ]));

  it('replaces steps that are done again, in the order of steps', () =>
    expect(
      withRows(
        [
          { step: 1, loss: 1 },
          { step: 2, loss: 2 },
          { step: 3, loss: 3 },
        ],
        [{ step: 2, loss: 9 }],
      ),
    ).toEqual([
      { step: 1, loss: 1 },
      { step: 2, loss: 9 },
      { step: 3, loss: 3 },
    ]));
});

it('keeps a choice of very many rows, with the newest', () => {
  const many = Array.from({ length: 4_000 }, (_, k) => ({ step: k, loss: k }));
  expect(withRows(many, [])).toHaveLength(4_000);
  const rows = withRows(many, [{ step: 4_000, loss: 4_000 }]);
  expect(rows.length).toBeLessThanOrEqual(2_000);
  expect([rows[0]!.step, rows.at(-1)!.step]).toEqual([0, 4_000]);
});

describe('withEvent', () => {
  it('shows new samples first, and each once', () => {
    const first = withEvent(NOTHING_KNOWN, 'samples', [sample(2), sample(1)]);
    expect(withEvent(first, 'samples', [sample(3), sample(2)]).samples.map(({ index }) => index)).toEqual([
      3, 2, 1,
    ]);
  });

  it('knows each change once, oldest first', () => {
    const first = withEvent(NOTHING_KNOWN, 'controls', [change(5)]);
    expect(
      withEvent(first, 'controls', [change(1), change(5)]).controls.map(({ seconds }) => seconds),
    ).toEqual([1, 5]);
  });

  it('takes back a problem that is over', () => {
    const first = withEvent(NOTHING_KNOWN, 'problem', 'gone');
    expect(withEvent(first, 'problem', null).problem).toBeNull();
  });
});
