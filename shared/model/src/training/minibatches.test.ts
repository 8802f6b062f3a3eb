import { cutMinibatches } from './minibatches';
import { supervisedEpisode } from './supervised';

const ofAnswer = (length: number) =>
  supervisedEpisode(
    [1],
    Array.from({ length }, () => 2),
  );

describe('cutMinibatches', () => {
  it.each([
    [1, [[0, 1, 2, 3, 4]], [15]],
    [
      2,
      [
        [0, 1],
        [2, 3, 4],
      ],
      [3, 12],
    ],
    [5, [[0], [1], [2], [3], [4]], [1, 2, 3, 4, 5]],
    [9, [[0], [1], [2], [3], [4]], [1, 2, 3, 4, 5]],
  ])(
    'makes %s parts of the batch in its order, each with counts of its own',
    (minibatches, indices, tokens) => {
      const episodes = [1, 2, 3, 4, 5].map(ofAnswer);
      const parts = cutMinibatches(episodes, { minibatches, microBatchTokens: 6, isReward: false });
      expect(
        parts.map(({ microBatches }) =>
          microBatches.flatMap((batch) => batch.episodes).sort((a, b) => a - b),
        ),
      ).toEqual(indices);
      expect(parts.map((part) => part.tokens)).toEqual(tokens);
      expect(parts.map(({ sequences }) => sequences)).toEqual(indices.map(({ length }) => length));
      for (const { microBatches } of parts)
        for (const { rows, width } of microBatches) expect(rows * width).toBeLessThanOrEqual(6);
    },
  );

  it('makes parts of rollouts, whose episodes stay together', () => {
    const episodes = [1, 2, 3, 4, 5].map((length, i) => ({
      ...ofAnswer(length),
      rollout: [0, 0, 0, 1, 2][i]!,
    }));
    const parts = cutMinibatches(episodes, { minibatches: 9, microBatchTokens: 100, isReward: false });
    expect(parts.map(({ tokens, sequences, rollouts }) => [tokens, sequences, rollouts])).toEqual([
      [6, 3, 1],
      [4, 1, 1],
      [5, 1, 1],
    ]);
  });
});
