import type { Episode } from '@forge/contracts';
import { shownTokens } from './shown-tokens';

const texts = (tokenIds: readonly number[], positions: readonly number[]) =>
  Promise.resolve(positions.map((at) => String(tokenIds[at])));
const episodeOf = (mask: (0 | 1)[]): Episode => ({
  tokenIds: Int32Array.from(mask, (_, t) => 10 + t),
  mask: Uint8Array.from(mask),
  logprobs: Float32Array.from(mask, (chosen, t) => (chosen ? -t / 3 : 0)),
  versions: Int32Array.from(mask, (chosen, t) => (chosen ? t : -1)),
  reward: 0,
  rewards: {},
  text: '',
});
const long = (tokens: number) => episodeOf(Array<1>(tokens).fill(1));

describe('shownTokens', () => {
  it('are those the policy chose, of every turn', async () => {
    expect(await shownTokens([episodeOf([0, 1, 0, 1, 1, 0])], texts)).toEqual([
      { texts: ['11', '13', '14'], logprobs: [-0.3333, -1, -1.3333], versions: [1, 3, 4] },
    ]);
  });

  it.each([
    [[2_000], [512]],
    [Array<number>(10).fill(9), Array<number>(8).fill(9)],
    [
      [600, 300, 900, 5],
      [512, 300, 212],
    ],
  ])('of completions of %j tokens are %j', async (lengths, kept) => {
    const shown = await shownTokens(lengths.map(long), texts);
    expect(shown.map(({ versions }) => versions.length)).toEqual(kept);
  });

  it('are looked up without what comes behind them', async () => {
    const asked: number[] = [];
    await shownTokens([long(2_000)], (ids, positions) => {
      asked.push(ids.length);
      return texts(ids, positions);
    });
    expect(asked).toEqual([512]);
  });
});
