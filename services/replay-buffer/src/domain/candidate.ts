import { MAX_REWARD, oldestVersion, type Episode, type Group, type TraceOrigin } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Algorithm } from '@forge/rl';

/**
 * The replay buffer's knowledge of a buffered group without its payload. Kept in Redis beside the payload,
 * so a restarted replay buffer goes on where the old one stopped.
 *
 * Shapes: advantages [G], in the order of the group's episodes.
 */
export interface Candidate {
  index: number;
  /** Version of the oldest token. */
  version: number;
  /** Whether the group has a gradient to give, as the algorithm judges it. */
  informative: boolean;
  advantages: number[];
  /** Sums over the group's episodes; those of several groups add up. */
  sums: Sums;
  logprobMismatch?: number;
  /** The trace, and the time the group came, in milliseconds since the epoch. */
  trace?: TraceOrigin & { cameAtMs: number };
}

/** The part of an algorithm that judges a group. */
export type Judge = Pick<Algorithm, 'advantage' | 'isInformative'>;

/**
 * The candidate that `group` becomes under `algorithm`.
 *
 * @throws {ForgeError} NUMERIC_NON_FINITE when an advantage is not finite, or too large for sums of such (the message
 *   schema has checked the rest); SHAPE_MISMATCH when the algorithm gives another number of advantages than there are episodes.
 */
export function toCandidate(group: Group, algorithm: Judge): Candidate {
  const { index, episodes, logprobMismatch } = group;
  const rewards = episodes.map((episode) => episode.reward);
  const advantages = algorithm.advantage(rewards);
  if (advantages.length !== episodes.length) {
    throw new ForgeError(
      'SHAPE_MISMATCH',
      `group ${index}: the algorithm gave ${advantages.length} advantages for ${episodes.length} episodes`,
      { index, advantages: advantages.length, episodes: episodes.length },
    );
  }
  const wrong = advantages.find((advantage) => !(Math.abs(advantage) <= MAX_REWARD));
  if (wrong !== undefined) {
    throw new ForgeError(
      'NUMERIC_NON_FINITE',
      `group ${index}: an advantage is ${wrong}; expected a finite one of at most ${MAX_REWARD}`,
      {
        index,
        rewards,
        advantages: advantages.map(String),
      },
    );
  }
  return {
    index,
    version: oldestVersion(episodes),
    informative: algorithm.isInformative(rewards, advantages),
    advantages,
    sums: sumsOf(episodes),
    ...(logprobMismatch !== undefined && { logprobMismatch }),
  };
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
