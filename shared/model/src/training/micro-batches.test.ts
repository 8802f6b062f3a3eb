import { cutMicroBatches, countTrainedTokens, spread, type TrainEpisode } from './micro-batches';

/** An episode whose tokens are 10, 11, 12, ... with the given mask. */
const episode = (mask: (0 | 1)[], advantage = 1): TrainEpisode => ({
  tokenIds: mask.map((_, t) => 10 + t),
  mask,
  logprobs: mask.map((m, t) => (m ? -t / 4 : 0)),
  referenceLogprobs: mask.map((m, t) => (m ? -t / 8 : 0)),
  versions: mask.map((m) => (m ? 3 : -1)),
  advantage,
});
/** An episode of that many tokens, none of them those of another `row`. */
const ofLength = (length: number, row: number): TrainEpisode => ({
  ...episode(Array.from({ length }, (_, t) => (t ? 1 : 0))),
  tokenIds: Array.from({ length }, (_, t) => 100 * row + t),
});
const numbers = (values: Iterable<bigint | number>): number[] => [...values].map(Number);

describe('cutMicroBatches', () => {
  it('puts the longest first, keeps the order of equals and respects the bound on padded tokens', () => {
    const batches = cutMicroBatches([3, 6, 3, 5, 4, 3].map(ofLength), 10);
    expect(batches.map(({ episodes, width }) => ({ episodes, width }))).toEqual([
      { episodes: [1, 3], width: 5 },
      { episodes: [4, 0, 2], width: 3 },
      { episodes: [5], width: 2 },
    ]);
  });

  it('gives an episode longer than the bound a micro-batch of its own', () => {
    expect(cutMicroBatches([20, 20].map(ofLength), 8).map(({ rows, width }) => [rows, width])).toEqual([
      [1, 19],
      [1, 19],
    ]);
  });

  it('lets episodes alike share a row, for which the bound counts once', () => {
    const [one, other, third] = [ofLength(5, 0), ofLength(5, 1), ofLength(4, 2)];
    const untrained = { ...one, mask: [0, 1, 1, 1, 0] };
    const batches = cutMicroBatches(
      [one, third, other, { ...one, advantage: -2 }, untrained, { ...one, versions: [-1, 4, 4, 4, 4] }],
      8,
    );
    expect(batches.map(({ episodes, distinct, rowOf }) => [episodes, distinct, numbers(rowOf)])).toEqual([
      [[0, 3, 5, 2], 2, [0, 0, 0, 1]],
      [[4, 1], 2, [0, 1]],
    ]);
    const [batch] = batches;
    expect(numbers(batch!.tokens)).toEqual([0, 1, 2, 3, 100, 101, 102, 103]);
    expect(numbers(batch!.targets)).toEqual([1, 2, 3, 4, 101, 102, 103, 104]);
    expect(numbers(batch!.advantages)).toEqual([1, -2, 1, 1].flatMap((a) => [a, a, a, a]));
    expect(numbers(batch!.versions)).toEqual([3, 3, 4, 3].flatMap((v) => [v, v, v, v]));
    expect(numbers(spread(batch!, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)))).toEqual(
      [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ].flat(),
    );
  });

  it('shifts the fields to the predicted token and pads on the right', () => {
    const [batch] = cutMicroBatches([episode([0, 0, 1, 1], 2), episode([0, 1, 0], -1)], 100);
    expect(numbers(batch!.tokens)).toEqual([10, 11, 12, 10, 11, 0]);
    expect(numbers(batch!.mask)).toEqual([0, 1, 1, 1, 0, 0]);
    expect(numbers(batch!.behaviour)).toEqual([0, -0.5, -0.75, -0.25, 0, 0]);
    expect(numbers(batch!.reference)).toEqual([0, -0.25, -0.375, -0.125, 0, 0]);
    expect(numbers(batch!.advantages)).toEqual([0, 2, 2, -1, 0, 0]);
    expect(numbers(batch!.versions)).toEqual([-1, 3, 3, 3, -1, -1]);
    expect(numbers(batch!.trainedPositions)).toEqual([1, 2, 3]);
    expect(numbers(batch!.targets)).toEqual([12, 13, 11]);
    expect(numbers(batch!.trainedIndex)).toEqual([3, 0, 1, 2, 3, 3]);
  });

  it('gives a token the advantage of its own, where there is one for each', () => {
    const [batch] = cutMicroBatches(
      [{ ...episode([0, 1, 0, 1]), advantage: [0, 3, 0, -2] }, episode([0, 1, 1], 5)],
      100,
    );
    expect(numbers(batch!.advantages)).toEqual([3, 0, -2, 5, 5, 0]);
  });

  it('gives a reward that is one number to the last trained token', () => {
    const rewarded = [episode([0, 1, 1, 0], 4), { ...episode([0, 1, 1]), advantage: [0, 2, 3] }];
    const [batch] = cutMicroBatches(rewarded, 100, { isReward: true });
    expect(numbers(batch!.advantages)).toEqual([0, 4, 0, 2, 3, 0]);
  });

  it('gives the reward of a rollout to the last token of its last part, and counts the tokens of all', () => {
    const parts = [
      { ...episode([0, 1, 1], 4), rollout: 7 },
      { ...episode([0, 0, 0, 1], 4), rollout: 7 },
      { ...episode([0, 1], 5), rollout: 8 },
    ];
    const batches = cutMicroBatches(parts, 3, { isReward: true });
    expect(batches.map(({ rollouts }) => rollouts)).toEqual([[0], [0], [1]]);
    expect(batches.map(({ rolloutTokens }) => numbers(rolloutTokens))).toEqual([[3], [3], [1]]);
    expect(batches.map(({ advantages }) => numbers(advantages))).toEqual([[0, 0, 4], [0, 0], [5]]);
  });

  it('cuts the chosen episodes alone, under their indices in the batch', () => {
    const batches = cutMicroBatches([3, 6, 3, 5].map(ofLength), 10, { chosen: [2, 3] });
    expect(batches.map(({ episodes, width }) => ({ episodes, width }))).toEqual([
      { episodes: [3, 2], width: 4 },
    ]);
  });

  it('names the episode and the field of a broken episode', () => {
    expect(() => cutMicroBatches([{ ...ofLength(3, 0), advantage: [0, 1] }], 8)).toThrow(
      'episode 0: advantage has 2 entries, tokenIds 3',
    );
    expect(() => cutMicroBatches([ofLength(3, 0), { ...ofLength(3, 0), logprobs: [0] }], 8)).toThrow(
      'episode 1: logprobs has 1 entries, tokenIds 3',
    );
    expect(() => cutMicroBatches([episode([1, 0, 0])], 8)).toThrow(
      'episode 0: mask selects no token after the first',
    );
  });
});

describe('countTrainedTokens', () => {
  it('leaves out the first token, which nothing predicts', () => {
    expect(countTrainedTokens(episode([1, 0, 1, 1]))).toBe(2);
  });
});
