import { smooth, windowFor } from './smooth';

it('takes the mean of neighbours, of fewer at the ends', () =>
  expect(smooth([0, 3, 6, 9], 3)).toEqual([1.5, 3, 6, 7.5]));

it('leaves missing values out', () => expect(smooth([1, NaN, 3], 3)).toEqual([1, 2, 3]));

it('leaves what is constant as it is', () =>
  expect(new Set(smooth(Array<number>(200).fill(0.003), 5))).toEqual(new Set([0.003])));

it('changes nothing with a window of one', () => expect(smooth([5, 1, 4], 1)).toEqual([5, 1, 4]));

it.each([
  [10, 1],
  [39, 1],
  [100, 5],
  [1000, 41],
])('smooths %p values over %p', (count, window) => expect(windowFor(count)).toBe(window));
