import type { Episode } from '@forge/contracts';
import { checkLag, type NamedEpisodes } from './lag';

const group = (index: number, ...versions: number[][]): NamedEpisodes => ({
  name: `group ${index}`,
  episodes: versions.map((tokens): Episode => ({
    tokenIds: Int32Array.of(0, ...tokens.map(() => 1)),
    mask: Uint8Array.of(0, ...tokens.map(() => 1 as const)),
    logprobs: Float32Array.of(0, ...tokens.map(() => -1)),
    versions: Int32Array.of(-1, ...tokens),
    reward: 0,
    rewards: {},
    text: '',
  })),
});

describe('checkLag', () => {
  it('counts the lag of each token the policy chose', () => {
    expect(checkLag(7, [group(0, [5, 6], [7]), group(1, [7])], 2)).toEqual({
      'lag/mean': 0.75,
      'lag/max': 2,
      'lag/share/0': 0.5,
      'lag/share/1': 0.25,
      'lag/share/2': 0.25,
    });
  });

  it('refuses a token older than the bound, whichever group it hides in', () => {
    expect(() => checkLag(7, [group(0, [7]), group(3, [7, 4])], 2)).toThrow(
      'group 3: a token of version 4 reached the gradient of step 7; expected a lag of 0..2',
    );
  });

  it('refuses a token newer than the policy that is trained', () => {
    expect(() => checkLag(7, [group(0, [8])], 2)).toThrow('version 8');
  });

  it('takes any age without a bound', () => {
    expect(checkLag(500, [group(0, [0, 484, 485])], Infinity)).toMatchObject({
      'lag/max': 500,
      'lag/share/15': 1 / 3,
      'lag/share/16+': 2 / 3,
    });
  });
});
