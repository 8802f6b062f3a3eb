import { lagHistogram, meanLag, withBound } from './lag-histogram';

const rows = [
  { step: 1, 'lag/share/0': 1 },
  { step: 2, 'lag/share/0': 0.5, 'lag/share/2': 0.5 },
  { step: 3, 'lag/share/1': 1 },
];

it('has a column for each step while there are few', () =>
  expect(lagHistogram(rows, 10)).toEqual({
    lags: ['0', '1', '2'],
    columns: [
      { fromStep: 1, toStep: 1, shares: [1, 0, 0] },
      { fromStep: 2, toStep: 2, shares: [0.5, 0, 0.5] },
      { fromStep: 3, toStep: 3, shares: [0, 1, 0] },
    ],
  }));

it('takes the mean of steps that share a column', () =>
  expect(lagHistogram(rows, 2).columns).toEqual([
    { fromStep: 1, toStep: 2, shares: [0.75, 0, 0.25] },
    { fromStep: 3, toStep: 3, shares: [0, 1, 0] },
  ]));

it('has columns of equally many steps where there are rows of some only', () =>
  expect(
    lagHistogram([...rows, { step: 11, 'lag/share/0': 1 }, { step: 14, 'lag/share/1': 1 }], 3).columns,
  ).toEqual([
    { fromStep: 1, toStep: 3, shares: [0.5, 1 / 3, 0.5 / 3] },
    { fromStep: 11, toStep: 14, shares: [0.5, 0.5, 0] },
  ]));

it('keeps the last lag open where it has all from there on', () =>
  expect(lagHistogram([{ step: 1, 'lag/share/16+': 1 }], 4).lags.at(-1)).toBe('16+'));

it('has none where nothing was measured', () => expect(lagHistogram([{ step: 1 }], 4).columns).toEqual([]));

it('knows the mean lag', () =>
  expect(meanLag({ fromStep: 1, toStep: 1, shares: [0.5, 0.25, 0.25] })).toBe(0.75));

it.each([
  [[3], ['0', '1', '2', '3', '4']],
  [[1], ['0', '1', '2']],
  [[null], ['0', '1', '2']],
  [[100], ['0', '1', '2']],
  [
    [2, null, 1],
    ['0', '1', '2', '3'],
  ],
])('has room for the bounds %p', (bounds, lags) => {
  const of = bounds.map((bound, fromStep) => ({ fromStep, bound }));
  expect(withBound(lagHistogram(rows, 9), of).lags).toEqual(lags);
});
