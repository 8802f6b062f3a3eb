import type { Episode, Group, Worth } from '@forge/contracts';
import { defineAlgorithm } from '@forge/rl';
import { batchStatistics, judgeBatch, toCandidate } from './candidate';
import type { Judge } from './judgement';

const episode = (reward: number, versions: number[] = [3, 3]): Episode => ({
  tokenIds: Int32Array.of(1, ...versions.map(() => 2)),
  mask: Uint8Array.of(0, ...versions.map(() => 1 as const)),
  logprobs: Float32Array.of(0, ...versions.map(() => -0.5)),
  versions: Int32Array.of(-1, ...versions),
  reward,
  rewards: { math: reward },
  text: '',
});
const group = (episodes: Episode[], index = 4): Group => ({
  schemaVersion: 3,
  runId: 'run',
  index,
  sampleId: `s${index}`,
  promptText: '1+1=',
  weightHashes: {},
  episodes,
  replica: 'policy-0',
});
const centred: Judge = defineAlgorithm({
  advantage: (rewards) => rewards.map((r) => r - 0.5),
  loss: ({ logprobs }) => logprobs,
});

describe('toCandidate', () => {
  it('takes the version of the oldest token, the advantages and sums over the episodes', () => {
    expect(toCandidate(group([episode(1, [3, 4]), episode(0.5, [4, 4, 2, 5])]), centred)).toEqual({
      index: 4,
      sampleId: 's4',
      version: 2,
      informative: true,
      rewards: [1, 0.5],
      advantages: [0.5, 0],
      tokens: [2, 4],
      lengths: [[3], [5]],
      dropped: [],
      sums: {
        ...{ rollouts: 2, reward: 1.5, rewardSquare: 1.25, rewards: { math: 1.5 }, tokens: 6 },
        truncated: {},
      },
    });
  });

  it('lets the algorithm judge what is informative', () => {
    expect(toCandidate(group([episode(0.5), episode(0.5)]), centred).informative).toBe(false);
    expect(toCandidate(group([episode(0.5)]), { ...centred, isInformative: () => true }).informative).toBe(
      true,
    );
  });

  it('shapes the rewards first, by the episodes, and keeps a worth for each token', () => {
    const shorter: Judge = {
      ...centred,
      shape: (episodes) => episodes.map(({ reward, mask }) => reward - mask.length / 10),
      advantage: (rewards, episodes) =>
        episodes.map(({ mask }, k) => [...mask].map((chosen) => (chosen ? rewards[k]! : 0))),
    };
    expect(toCandidate(group([episode(1), episode(0, [3])]), shorter)).toMatchObject({
      informative: true,
      rewards: [0.7, -0.2],
      advantages: [
        [0, 0.7, 0.7],
        [0, -0.2],
      ],
    });
  });

  it.each<[string, Partial<Judge>, string, string]>([
    [
      'an advantage that is not finite',
      { advantage: () => [NaN] },
      'NUMERIC_NON_FINITE',
      'advantage: the advantage of episode 0 is NaN; expected a finite number',
    ],
    [
      'a reward that is not finite',
      { shape: () => [Infinity] },
      'NUMERIC_NON_FINITE',
      'shape: the reward of episode 0 is Infinity; expected a finite number',
    ],
    [
      'what is no number',
      { advantage: () => ['1' as never] },
      'NUMERIC_NON_FINITE',
      'advantage: the advantage of episode 0 is string; expected a finite number',
    ],
    [
      'NaN of a token',
      { advantage: () => [[0, 1, NaN]] },
      'NUMERIC_NON_FINITE',
      'advantage: the advantage of token 2 of episode 0 is NaN; expected a finite number',
    ],
    [
      'another number of advantages than episodes',
      { advantage: () => [1, 2] },
      'SHAPE_MISMATCH',
      'advantage: it gave 2 advantages for 1 episodes',
    ],
    [
      'another number of rewards than episodes',
      { shape: () => [] },
      'SHAPE_MISMATCH',
      'shape: it gave 0 rewards for 1 episodes',
    ],
    [
      'nothing',
      { advantage: () => undefined as never },
      'SHAPE_MISMATCH',
      'advantage: it gave undefined advantages for 1 episodes',
    ],
    [
      'an advantage too few',
      { advantage: () => [[0, 1]] },
      'SHAPE_MISMATCH',
      'advantage: episode 0 has 2 advantages; expected one number, or 3, one for each of its tokens',
    ],
    [
      'an error',
      {
        shape: () => {
          throw new RangeError('no such length');
        },
      },
      'BUG_INVARIANT',
      'shape: it failed: no such length',
    ],
    [
      'an error about what is informative',
      {
        isInformative: () => {
          throw new RangeError('hm');
        },
      },
      'BUG_INVARIANT',
      'isInformative: it failed: hm',
    ],
  ])('refuses %s and says whose it is', (_, part, code, words) => {
    const refused = () => toCandidate(group([episode(1)]), { ...centred, ...part });
    expect(refused).toThrow(expect.objectContaining({ code }));
    expect(refused).toThrow(`group 4 (sample s4): ${words}`);
  });
});

describe('a group with rollouts of several parts', () => {
  const part = (rollout: number, reward: number, versions?: number[]): Episode => ({
    ...episode(reward, versions),
    rollout,
  });
  const parts = group([part(0, 1, [3]), part(0, 1, [3, 4, 4]), part(1, 0)]);

  it('is judged and counted by rollouts, whatever their parts', () => {
    const candidate = toCandidate(parts, centred);
    expect(candidate).toMatchObject({
      rewards: [1, 0],
      advantages: [0.5, -0.5],
      tokens: [4, 2],
      lengths: [[2, 4], [3]],
      sums: { rollouts: 2, reward: 1, rewards: { math: 1 }, tokens: 6 },
    });
    expect(batchStatistics([candidate])).toMatchObject({ 'reward/mean': 0.5, 'completion/length_mean': 3 });
  });

  it('gives the parts the number of their rollout, or the tokens of theirs', () => {
    const candidates = [toCandidate(parts, centred)];
    expect(judgeBatch(candidates, centred)).toEqual([[0.5, 0.5, -0.5]]);
    const byToken = (): Worth[][] => [[[0, 1, 0, 2, 3, 4], -1]];
    expect(judgeBatch(candidates, { acrossBatch: byToken })).toEqual([[[0, 1], [0, 2, 3, 4], -1]]);
    expect(() => judgeBatch(candidates, { acrossBatch: () => [[[0, 1], -1]] })).toThrow(
      'episode 0 has 2 advantages; expected one number, or 6, one for each of its tokens',
    );
  });
});

describe('a rollout that was cut off', () => {
  const cut = (reward: number): Episode => ({ ...episode(reward), end: 'turns' });
  const whole = episode(0);

  it('keeps its reward unless it is to have another, and is counted by the reason', () => {
    const mixed = group([cut(1), whole, { ...cut(1), end: 'time' }, whole]);
    expect(toCandidate(mixed, centred)).toMatchObject({ rewards: [1, 0, 1, 0], dropped: [] });
    const candidate = toCandidate(mixed, centred, { reward: -0.5 });
    expect(candidate).toMatchObject({ rewards: [-0.5, 0, -0.5, 0], dropped: [] });
    // Metrics stay as scored.
    expect(batchStatistics([candidate])).toMatchObject({
      'reward/mean': 0.5,
      'rollout/truncated/turns': 0.25,
      'rollout/truncated/time': 0.25,
    });
    expect(Object.keys(batchStatistics([toCandidate(group([whole]), centred)])).join()).not.toContain(
      'truncated',
    );
  });

  it('counts for the baseline of its group but is not trained on where it is dropped', () => {
    const mean = defineAlgorithm({
      advantage: (rewards) => rewards.map((r) => r - rewards.reduce((a, b) => a + b) / rewards.length),
      loss: ({ logprobs }) => logprobs,
    });
    const candidate = toCandidate(group([cut(1), whole]), mean, 'drop');
    expect(candidate).toMatchObject({ advantages: [0.5, -0.5], dropped: [0], informative: true });
    const seen = jest.fn(mean.acrossBatch);
    expect(judgeBatch([candidate], { acrossBatch: seen })).toEqual([[null, -0.5]]);
    expect(seen).toHaveBeenCalledWith([{ rewards: [1, 0], advantages: [0, -0.5], tokens: [0, 2] }]);
    expect(toCandidate(group([cut(1)]), centred, 'drop').informative).toBe(false);
  });
});

describe('judgeBatch', () => {
  const candidates = [
    toCandidate(group([episode(1), episode(0.5, [3])], 4), centred),
    toCandidate(group([episode(0)], 9), centred),
  ];

  it('leaves advantages as they are by default', () => {
    expect(judgeBatch(candidates, centred)).toEqual([[0.5, 0], [-0.5]]);
  });

  it('shows the algorithm the groups of the batch and takes what it says', () => {
    const acrossBatch = jest.fn(() => [[2, [0, 3]], [[0, 1, 1]]]);
    expect(judgeBatch(candidates, { acrossBatch })).toEqual([[2, [0, 3]], [[0, 1, 1]]]);
    expect(acrossBatch).toHaveBeenCalledWith([
      { rewards: [1, 0.5], advantages: [0.5, 0], tokens: [2, 1] },
      { rewards: [0], advantages: [-0.5], tokens: [2] },
    ]);
  });

  it.each<[Judge['acrossBatch'], string]>([
    [() => [[0, 0]], 'group 4, 9 (sample s4, s9): acrossBatch: it gave the advantages of 1 groups for 2'],
    [
      () => null as never,
      'group 4, 9 (sample s4, s9): acrossBatch: it gave the advantages of object groups for 2',
    ],
    [() => [[0, 0], [NaN]], 'group 9 (sample s9): acrossBatch: the advantage of episode 0 is NaN'],
    [
      () => [[0, [0, 1, 1]], [0]],
      'group 4 (sample s4): acrossBatch: episode 1 has 3 advantages; expected one number, or 2',
    ],
    [
      () => {
        throw new Error('no');
      },
      'group 4, 9 (sample s4, s9): acrossBatch: it failed: no',
    ],
  ])('refuses %s and says which group is to blame', (acrossBatch, words) => {
    expect(() => judgeBatch(candidates, { acrossBatch })).toThrow(words);
  });
});

describe('batchStatistics', () => {
  it('averages over the episodes of all candidates', () => {
    const groups: Group[] = [
      { ...group([episode(1), episode(1), episode(0.5, [1, 1, 1, 1])], 0), logprobMismatch: 2e-6 },
      group([episode(0.5)], 1),
    ];
    expect(batchStatistics(groups.map((g) => toCandidate(g, centred)))).toEqual({
      'reward/mean': 0.75,
      'reward/std': 0.25,
      'reward/math': 0.75,
      'groups/informative_share': 0.5,
      'completion/length_mean': 2.5,
      logprob_mismatch: 2e-6,
    });
  });
});
