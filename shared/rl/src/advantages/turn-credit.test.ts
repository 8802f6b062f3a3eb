import fc from 'fast-check';
import type { Episode, Worth } from '@forge/contracts';
import { groupRelativeAdvantage } from './group-relative-advantage';
import { turnCredit } from './turn-credit';

/** An episode of turns of so many tokens after one of context, each with a reward. */
function episode(turns: readonly (readonly [tokens: number, reward: number])[]): Episode {
  const mask = turns.flatMap(([tokens]) => [0, ...Array.from({ length: tokens }, () => 1)]);
  let end = 0;
  return {
    tokenIds: Int32Array.from(mask, () => 1),
    mask: Uint8Array.from(mask),
    logprobs: Float32Array.from(mask, (chosen) => -chosen),
    versions: Int32Array.from(mask, (chosen) => chosen - 1),
    reward: turns.reduce((sum, [, reward]) => sum + reward, 0),
    rewards: {},
    text: '',
    turns: turns.map(([tokens, reward]) => ({ end: (end += tokens + 1), reward })),
  };
}
const centred = groupRelativeAdvantage({ normalizeByStd: false });
const rewardsOf = (episodes: readonly Episode[]): number[] => episodes.map(({ reward }) => reward);

describe('turnCredit', () => {
  it('gives the tokens of a turn its return against the mean over the turns of the group', () => {
    // Returns 1 + 0.5 * 3 = 2.5 and 3, and 0: their mean is 5.5 / 3.
    const episodes = [
      episode([
        [2, 1],
        [1, 3],
      ]),
      episode([[1, 0]]),
    ];
    const mean = 5.5 / 3;
    const worths = turnCredit(centred, 0.5)(rewardsOf(episodes), episodes) as number[][];
    const expected = [
      [0, 2.5 - mean, 2.5 - mean, 0, 3 - mean],
      [0, -mean],
    ];
    expect(worths.map((worth) => worth.length)).toEqual([5, 2]);
    worths.forEach((worth, i) => worth.forEach((one, t) => expect(one).toBeCloseTo(expected[i]![t]!, 12)));
  });

  it('counts what the reward has beyond its turns for the last one', () => {
    const seen: number[][] = [];
    const spy = (returns: readonly number[]): number[] => {
      seen.push([...returns]);
      return returns.map(() => 0);
    };
    const scored = episode([
      [1, 0.25],
      [1, 0],
    ]);
    turnCredit(spy, 0.5)([1.25, 7], [scored, { ...scored, turns: undefined }]);
    // A whole turn of 1.25 - 0.25, and the rollout without turns as one.
    expect(seen).toEqual([[0.25 + 0.5, 1, 7]]);
  });

  it('is credit by rollout where each has one turn, in value', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 5 }), (rewards) => {
        const episodes = rewards.map((reward) => episode([[2, reward]]));
        const byTurn = turnCredit(centred, 0.7)(rewards, episodes) as number[][];
        const byRollout = centred(rewards);
        expect(byTurn).toEqual(byRollout.map((one) => [0, one, one]));
      }),
    );
  });

  it('shows the advantage each turn as a rollout of which only its tokens count', () => {
    const masks: number[][] = [];
    const spy = (returns: readonly number[], views: readonly Episode[]): Worth[] => {
      masks.push(...views.map(({ mask }) => [...mask]));
      return returns.map(() => 1);
    };
    const one = episode([
      [2, 0],
      [1, 0],
    ]);
    turnCredit(spy, 1)([0], [one]);
    expect(masks).toEqual([
      [0, 1, 1, 0, 0],
      [0, 0, 0, 0, 1],
    ]);
  });

  it('refuses an advantage that gives credit by token itself', () => {
    const byToken = (_: readonly number[], views: readonly Episode[]): Worth[] =>
      views.map(({ mask }) => [...mask]);
    expect(() => turnCredit(byToken, 1)([0], [episode([[1, 0]])])).toThrow(
      'turnDiscount: found advantages by token of a turn, expected a number',
    );
  });
});
