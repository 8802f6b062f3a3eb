import { oldestVersion, type Episode, type Group, type TraceOrigin, type Worth } from '@forge/contracts';
import { checkRewards, checkWorths, failure, judge, type Judge } from './judgement';

/**
 * The replay buffer's knowledge of a buffered group without its payload. Kept in Redis beside the payload,
 * so a restarted replay buffer goes on where the old one stopped.
 *
 * Shapes: rewards, advantages, tokens and lengths [G], in the order of the group's episodes.
 */
export interface Candidate {
  index: number;
  sampleId: string;
  /** Version of the oldest token. */
  version: number;
  /** Whether the group has a gradient to give, as the algorithm judges it. */
  informative: boolean;
  /** After shaping. */
  rewards: number[];
  /** Before the algorithm's second stage over a batch. */
  advantages: Worth[];
  /** Tokens the policy chose. */
  tokens: number[];
  /** All tokens. */
  lengths: number[];
  /** Sums over the group's episodes; those of several groups add up. */
  sums: Sums;
  logprobMismatch?: number;
  /** The trace, and the time the group came, in milliseconds since the epoch. */
  trace?: TraceOrigin & { cameAtMs: number };
}

/**
 * The candidate that `group` becomes under `algorithm`.
 *
 * @throws {ForgeError} naming the function, the group and the sample: what the algorithm throws; NUMERIC_NON_FINITE for a
 *   reward or an advantage that is not finite, or too large for sums of such (the message schema has checked the rest);
 *   SHAPE_MISMATCH when there is not one for each episode, or those of an episode's tokens are not as many as these.
 */
export function toCandidate(group: Group, algorithm: Judge): Candidate {
  const { index, sampleId, episodes, logprobMismatch } = group;
  const lengths = episodes.map(({ tokenIds }) => tokenIds.length);
  const rewards = judge('shape', group, () => algorithm.shape(episodes));
  checkRewards('shape', group, rewards, episodes.length);
  const advantages = judge('advantage', group, () => algorithm.advantage(rewards, episodes));
  checkWorths('advantage', group, advantages, lengths);
  return {
    index,
    sampleId,
    version: oldestVersion(episodes),
    informative: judge('isInformative', group, () => algorithm.isInformative(rewards, advantages)),
    rewards,
    advantages,
    tokens: episodes.map(({ mask }) => mask.filter((chosen) => chosen === 1).length),
    lengths,
    sums: sumsOf(episodes),
    ...(logprobMismatch !== undefined && { logprobMismatch }),
  };
}

/**
 * The worth of the episodes of a batch, after the algorithm's second stage over all of it. Shapes: [groups][G].
 *
 * @throws {ForgeError} as `toCandidate`, with the `index` of a group when one is to blame; else naming all of them.
 */
export function judgeBatch(selected: readonly Candidate[], algorithm: Pick<Judge, 'acrossBatch'>): Worth[][] {
  const groups = selected.map(({ rewards, advantages, tokens }) => ({ rewards, advantages, tokens }));
  const whole = {
    index: selected.map(({ index }) => index).join(', '),
    sampleId: selected.map(({ sampleId }) => sampleId).join(', '),
  };
  const worths = judge('acrossBatch', whole, () => algorithm.acrossBatch(groups));
  const found = Array.isArray(worths) ? String(worths.length) : typeof worths;
  if (found !== String(selected.length)) {
    const said = `it gave the advantages of ${found} groups for ${selected.length}`;
    throw failure('SHAPE_MISMATCH', 'acrossBatch', whole, said);
  }
  selected.forEach((candidate, i) => {
    checkWorths('acrossBatch', candidate, worths[i]!, candidate.lengths);
  });
  return worths;
}

/**
 * Metrics of a batch over all the candidates it was chosen from; names and formulas as in METRICS of
 * `@forge/telemetry`.
 */
export function batchStatistics(candidates: readonly Candidate[]): Record<string, number> {
  const total = (value: (sums: Sums) => number) => candidates.reduce((sum, { sums }) => sum + value(sums), 0);
  const episodes = total((sums) => sums.episodes);
  const mean = total((sums) => sums.reward) / episodes;
  const variance = total((sums) => sums.rewardSquare) / episodes - mean ** 2;
  const functions = new Set(candidates.flatMap(({ sums }) => Object.keys(sums.rewards)));
  return {
    'reward/mean': mean,
    'reward/std': Math.sqrt(Math.max(0, variance)),
    ...Object.fromEntries(
      [...functions].map((name) => [`reward/${name}`, total((sums) => sums.rewards[name] ?? 0) / episodes]),
    ),
    'groups/informative_share':
      candidates.filter(({ informative }) => informative).length / candidates.length,
    'completion/length_mean': total((sums) => sums.tokens) / episodes,
    logprob_mismatch: Math.max(0, ...candidates.map(({ logprobMismatch = 0 }) => logprobMismatch)),
  };
}

interface Sums {
  episodes: number;
  reward: number;
  rewardSquare: number;
  /** Sums by reward function, before weighting. */
  rewards: Record<string, number>;
  /** Tokens the policy chose. */
  tokens: number;
}

function sumsOf(episodes: readonly Episode[]): Sums {
  const sums: Sums = { episodes: episodes.length, reward: 0, rewardSquare: 0, rewards: {}, tokens: 0 };
  for (const { reward, rewards, mask } of episodes) {
    sums.reward += reward;
    sums.rewardSquare += reward ** 2;
    for (const [name, value] of Object.entries(rewards))
      sums.rewards[name] = (sums.rewards[name] ?? 0) + value;
    sums.tokens += mask.filter((chosen) => chosen === 1).length;
  }
  return sums;
}
