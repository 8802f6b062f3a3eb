import { logprobMismatch, soleVersion } from './logprob-mismatch';

describe('soleVersion', () => {
  it.each([
    [[-1, -1, 4, 4], 4],
    [[-1, 4, 5], null],
    [[-1, 0, -1, 0], 0],
  ])('of tokens from %j is %j', (versions, version) => {
    expect(soleVersion({ versions: Int32Array.from(versions) })).toBe(version);
  });
});

describe('logprobMismatch', () => {
  it('is the largest difference over the tokens the policy chose', () => {
    const episode = { mask: Uint8Array.of(0, 1, 0, 1), logprobs: Float32Array.of(0, -1, 0, -2) };
    expect(logprobMismatch(episode, [-9, -1.25, -9, -1.5])).toBe(0.5);
  });
});
