import type { Episode } from '@forge/contracts';
import { wholeRollouts, worthsOfParts } from './whole-rollouts';

/** A part of a rollout: context tokens, then chosen ones. */
const part = (
  rollout: number,
  context: number[],
  chosen: number[],
  more: Partial<Episode> = {},
): Episode => ({
  tokenIds: Int32Array.from([...context, ...chosen]),
  mask: Uint8Array.from([...context.map(() => 0), ...chosen.map(() => 1)]),
  logprobs: Float32Array.from([...context.map(() => 0), ...chosen.map((id) => -id)]),
  versions: Int32Array.from([...context.map(() => -1), ...chosen.map(() => rollout)]),
  reward: rollout,
  rewards: { exact: rollout },
  text: chosen.join(' '),
  rollout,
  ...more,
});

describe('wholeRollouts', () => {
  it('puts the parts of a rollout end to end and leaves others as they are', () => {
    const alone = part(1, [9], [8]);
    const [first, second] = [
      part(0, [1], [2, 3], {
        turns: [{ end: 3, reward: 0.25 }],
        conversation: [{ role: 'assistant', text: 'a' }],
        referenceLogprobs: Float32Array.of(0, -5, -6),
      }),
      part(0, [1, 4], [5], {
        turns: [{ end: 3, reward: 0.5 }],
        conversation: [{ role: 'assistant', text: 'b', fork: 'thinking' }],
        referenceLogprobs: Float32Array.of(0, 0, -7),
        end: 'turns',
      }),
    ];
    const whole = wholeRollouts([first, second, alone]);
    expect(whole[1]).toBe(alone);
    expect(whole[0]).toEqual({
      ...second,
      tokenIds: Int32Array.of(1, 2, 3, 1, 4, 5),
      mask: Uint8Array.of(0, 1, 1, 0, 0, 1),
      logprobs: Float32Array.of(0, -2, -3, 0, 0, -5),
      versions: Int32Array.of(-1, 0, 0, -1, -1, 0),
      referenceLogprobs: Float32Array.of(0, -5, -6, 0, 0, -7),
      text: '2 3\n5',
      turns: [
        { end: 3, reward: 0.25 },
        { end: 6, reward: 0.5 },
      ],
      conversation: [
        { role: 'assistant', text: 'a' },
        { role: 'assistant', text: 'b', fork: 'thinking' },
      ],
    });
  });

  it('has no reference log-probs, turns or messages where the parts have none', () => {
    const [whole] = wholeRollouts([part(0, [1], [2]), part(0, [1], [3])]);
    expect(whole).toMatchObject({ referenceLogprobs: undefined, turns: undefined, conversation: undefined });
  });
});

describe('worthsOfParts', () => {
  it('gives every part the number of its rollout, and of a list the tokens that are its own', () => {
    const lengths = [[2, 3], [4], [1, 1]];
    expect(worthsOfParts([0.5, [0, 1, 2, 3], [7, 8]], lengths)).toEqual([0.5, 0.5, [0, 1, 2, 3], [7], [8]]);
  });

  it('refuses a list that is not of the tokens of all parts', () => {
    expect(() => worthsOfParts([[1, 2, 3]], [[2, 3]])).toThrow(
      'rollout 0 has 3 advantages; expected one number, or 5, one for each token of its 2 parts',
    );
  });
});
