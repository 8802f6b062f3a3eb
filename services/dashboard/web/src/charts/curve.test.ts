import { describeSeries, markLabels, pointsOf, withoutTwins } from './curve';

it('takes the rows that have a metric', () =>
  expect(pointsOf([{ step: 1 }, { step: 2, loss: 0.5 }, { step: 3, loss: NaN }], 'loss')).toEqual([
    [2, 0.5],
  ]));

it('says of a curve where it begins, ends and lies', () =>
  expect(
    describeSeries(
      [
        {
          name: 'loss',
          points: [
            [1, 4],
            [2, 6],
            [3, 1],
          ],
        },
      ],
      '',
    ),
  ).toBe('loss: 4 at step 1, 1 at step 3; between 1 and 6'));

it('says when there is nothing yet', () =>
  expect(describeSeries([{ name: 'loss', points: [] }], '')).toBe('no values yet'));

it('numbers marks, those that are close with one label', () => {
  const marks = [10, 100, 102, 104, 120].map((step) => ({ step, label: 'x' }));
  expect(markLabels(marks, 10).map(({ label }) => label)).toEqual(['1', '2–4', '', '', '5']);
});

it('draws curves that are the same once', () => {
  const points = [
    [1, 2],
    [2, 3],
  ] as const;
  const other = [
    [1, 2],
    [2, 4],
  ] as const;
  const series = [
    { name: 'mean', points },
    { name: 'exact', points: [...points] },
    { name: 'format', points: other },
  ];
  expect(withoutTwins(series).map(({ name }) => name)).toEqual(['mean = exact', 'format']);
});
