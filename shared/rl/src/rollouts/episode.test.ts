import { episodeSchema, type Completion } from '@forge/contracts';
import { episode, episodeFromTurns, withReference } from './episode';
import { defaultRollout, type PolicyHandle } from './rollout';

const turn = (promptTokenIds: number[], tokenIds: number[], version: number): Completion => ({
  text: tokenIds.join(' '),
  promptTokenIds,
  tokenIds,
  logprobs: tokenIds.map((id) => -id / 10),
  versions: tokenIds.map(() => version),
  stopReason: 'end',
});
const score = { reward: 0.5, rewards: { exact: 1 } };

describe('episode', () => {
  it('takes the prompt as context and trains on the completion', () => {
    const result = episode(turn([1, 2], [3, 4, 5], 7), score);
    expect(result).toEqual({
      tokenIds: Int32Array.of(1, 2, 3, 4, 5),
      mask: Uint8Array.of(0, 0, 1, 1, 1),
      logprobs: Float32Array.of(0, 0, -0.3, -0.4, -0.5),
      versions: Int32Array.of(-1, -1, 7, 7, 7),
      reward: 0.5,
      rewards: { exact: 1 },
      text: '3 4 5',
    });
    expect(episodeSchema.parse(result)).toEqual(result);
  });
});

describe('episodeFromTurns', () => {
  it('trains on every answer of the policy and on nothing in between', () => {
    const result = episodeFromTurns([turn([1], [2, 3], 4), turn([1, 2, 3, 9, 8], [5], 6)], score);
    expect(result).toMatchObject({
      tokenIds: Int32Array.of(1, 2, 3, 9, 8, 5),
      mask: Uint8Array.of(0, 1, 1, 0, 0, 1),
      logprobs: Float32Array.of(0, -0.2, -0.3, 0, 0, -0.5),
      versions: Int32Array.of(-1, 4, 4, -1, -1, 6),
      text: '2 3\n5',
    });
    expect(episodeSchema.safeParse(result).success).toBe(true);
  });

  it.each([
    [[1, 2, 7, 9], 'turn 1: its prompt differs from the conversation so far at token 2: found 7, expected 3'],
    [[1, 2], 'turn 1: its prompt differs from the conversation so far at token 2: found the end, expected 3'],
  ])('refuses a turn that does not continue the tokens so far: %p', (prompt, message) => {
    expect(() => episodeFromTurns([turn([1], [2, 3], 4), turn(prompt, [5], 6)], score)).toThrow(message);
  });
});

describe('withReference', () => {
  it('keeps the log-probs of the tokens the policy chose', () => {
    const [result] = withReference(
      [episode(turn([1, 2], [3, 4], 0), score)],
      [{ logprobs: [0, -9, -0.25, -0.5] }],
    );
    expect(result?.referenceLogprobs).toEqual(Float32Array.of(0, 0, -0.25, -0.5));
    expect(result).not.toHaveProperty('referenceTop');
  });

  it('keeps the likeliest tokens in their places, where there are any', () => {
    const top = {
      tokenIds: Int32Array.of(0, 0, 5, 6, 7, 8, 9, 1),
      logprobs: Float32Array.of(0, 0, -1, -2, -0.5, -3, -0.25, -4),
    };
    const [result] = withReference(
      [episode(turn([1, 2], [3, 4], 0), score)],
      [{ logprobs: [0, -9, -0.25, -0.5], top }],
    );
    expect(result?.referenceTop).toEqual({
      tokenIds: Int32Array.of(7, 8, 9, 1),
      logprobs: Float32Array.of(-0.5, -3, -0.25, -4),
    });
  });
});

describe('defaultRollout', () => {
  it('generates a group and scores each completion', async () => {
    const asked: unknown[] = [];
    const episodes = await defaultRollout({
      sample: { id: 's', prompt: '12+7=', answer: '19' },
      groupSize: 3,
      policy: {
        generate: (prompt, options) => {
          asked.push([prompt, options]);
          return Promise.resolve([1, 2, 3].map((id) => turn([9], [id], 0)));
        },
      } as Pick<PolicyHandle, 'generate'> as PolicyHandle,
      reward: { score: (_sample, c) => Promise.resolve({ reward: c.tokenIds[0]!, rewards: {} }) },
    });
    expect(asked).toEqual([['12+7=', { n: 3 }]]);
    expect(episodes.map(({ tokenIds, reward }) => [[...tokenIds], reward])).toEqual([
      [[9, 1], 1],
      [[9, 2], 2],
      [[9, 3], 3],
    ]);
  });
});
