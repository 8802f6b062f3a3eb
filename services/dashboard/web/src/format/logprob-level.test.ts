import { levelOf } from './logprob-level';

it.each([
  [1, 0],
  [0.9, 0],
  [0.89, 1],
  [0.2, 2],
  [0.06, 3],
  [0.01, 4],
  [0.001, 5],
])('puts a probability of %p on level %p', (probability, level) =>
  expect(levelOf(Math.log(probability))).toBe(level),
);

it('puts what can not be at the end', () => expect(levelOf(-Infinity)).toBe(5));
