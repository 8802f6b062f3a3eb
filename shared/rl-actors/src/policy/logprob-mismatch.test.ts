import { logprobMismatch, soleVersion } from './logprob-mismatch';

describe('soleVersion', () => {
  it.each([
    [[-1, -1, 4, 4], 4],
    [[-1, 4, 5], null],
    [[-1, 0, -1, 0], 0],
  ])('of tokens from %j is %j', (versions, version) => {
    expect(soleVersion({ versions })).toBe(version);
  });
});

describe('logprobMismatch', () => {
  it('is the largest difference over the tokens the policy chose', () => {
    const episode = { mask: [0, 1, 0, 1] as (0 | 1)[], logprobs: [0, -1, 0, -2] };
    expect(logprobMismatch(episode, [-9, -1.25, -9, -1.5])).toBe(0.5);
  });
});
