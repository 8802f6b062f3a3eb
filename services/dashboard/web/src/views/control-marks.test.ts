import type { ControlChange } from '../../../src/api';
import { changeText, marksOf } from './control-marks';

const change = (
  version: number,
  operation: string,
  name: string,
  from: string,
  to: string,
): ControlChange => ({
  ...{ version, seconds: version, operation, name, from, to },
});

it('tells changes in words', () => {
  expect(changeText(change(1, 'set', 'maxStaleness', '2', '4'))).toBe('maxStaleness 2 → 4');
  expect(changeText(change(1, 'scale', 'policy', '1', '2'))).toBe('scale policy 1 → 2');
  expect(changeText(change(1, 'pause', 'admission', '', '1'))).toBe('pause');
});

it('marks a step once for all that was changed at it, and rollbacks', () =>
  expect(
    marksOf(
      [
        change(9, 'pause', 'admission', '', '1'),
        change(4, 'set', 'steps', '5', '6'),
        change(9, 'unpause', 'admission', '1', ''),
      ],
      [{ step: 8 }, { step: 9, 'rollback/to': 7 }],
    ),
  ).toEqual([
    { step: 4, label: 'steps 5 → 6' },
    { step: 9, label: 'pause, unpause, rolled back to 7' },
  ]));
