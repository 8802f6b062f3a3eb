import { boundAt, stalenessBounds } from './staleness-bound';

const change = (version: number, from: string, to: string) => ({ name: 'maxStaleness', version, from, to });

it('is the same all along where nobody changed it', () => {
  expect(stalenessBounds(4, [{ name: 'steps', version: 3, from: '9', to: '7' }])).toEqual([
    { fromStep: 0, bound: 4 },
  ]);
  expect(stalenessBounds(undefined, [])).toEqual([]);
});

it('changes with the step after the version it was changed at', () => {
  const bounds = stalenessBounds(2, [change(10, '4', 'inf'), change(20, 'inf', '2')]);
  expect([0, 10, 11, 20, 21, 99].map((step) => boundAt(bounds, step))).toEqual([4, 4, null, null, 2, 2]);
});
