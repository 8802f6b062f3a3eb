import type { Episode, Group } from '@forge/contracts';
import { batchStatistics, toCandidate } from './candidate';

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
  schemaVersion: 2,
  runId: 'run',
  index,
  sampleId: `s${index}`,
  promptText: '1+1=',
  weightHashes: {},
  episodes,
  replica: 'policy-0',
});
const centred = {
  advantage: (rewards: readonly number[]) => rewards.map((r) => r - 0.5),
  isInformative: (_rewards: readonly number[], advantages: readonly number[]) =>
    advantages.some((a) => a !== 0),
};

describe('toCandidate', () => {
  it('takes the version of the oldest token, the advantages and sums over the episodes', () => {
    expect(toCandidate(group([episode(1, [3, 4]), episode(0.5, [4, 4, 2, 5])]), centred)).toEqual({
      index: 4,
      version: 2,
      informative: true,
      advantages: [0.5, 0],
      sums: { episodes: 2, reward: 1.5, rewardSquare: 1.25, rewards: { math: 1.5 }, tokens: 6 },
    });
  });

  it('lets the algorithm judge what is informative', () => {
    expect(toCandidate(group([episode(0.5), episode(0.5)]), centred).informative).toBe(false);
    expect(toCandidate(group([episode(0.5)]), { ...centred, isInformative: () => true }).informative).toBe(
      true,
    );
  });

  it('refuses an advantage that is not finite', () => {
    const algorithm = { ...centred, advantage: () => [Number.NaN] };
    expect(() => toCandidate(group([episode(1)]), algorithm)).toThrow('group 4: an advantage is NaN');
  });

  it('refuses another number of advantages than episodes', () => {
    const algorithm = { ...centred, advantage: () => [1, 2] };
    expect(() => toCandidate(group([episode(1)]), algorithm)).toThrow('2 advantages for 1 episodes');
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
