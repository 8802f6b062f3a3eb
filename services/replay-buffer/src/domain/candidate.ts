import {
  oldestVersion,
  rolloutEndSchema,
  rolloutsOf,
  type Episode,
  type Group,
  type RolloutEnd,
  type TraceOrigin,
  type Worth,
} from '@forge/contracts';
import type { Truncated } from '@forge/config';
import { chosenTokens, wholeRollouts, worthsOfParts, type JudgedGroup } from '@forge/rl';
import { checkRewards, checkWorths, failure, judge, type Judge } from './judgement';

/**
 * The replay buffer's knowledge of a buffered group without its payload. Kept in Redis beside the payload,
 * so a restarted replay buffer goes on where the old one stopped.
 *
 * Shapes: rewards, advantages, tokens and lengths [G], in the order of the group's rollouts.
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
  /** All tokens, of each part. */
  lengths: number[][];
  /** Rollouts that are not trained on. */
  dropped: number[];
  /** Sums over the group's rollouts; those of several groups add up. */
  sums: Sums;
  logprobMismatch?: number;
  /** The trace, and the time the group came, in milliseconds since the epoch. */
  trace?: TraceOrigin & { cameAtMs: number };
}

/**
 * The candidate that `group` becomes under `algorithm`, which sees an episode for each rollout.
 *
 * @throws {ForgeError} naming the function, the group and the sample: what the algorithm throws; NUMERIC_NON_FINITE for a
 *   reward or an advantage that is not finite, or too large for sums of such (the message schema has checked the rest);
 *   SHAPE_MISMATCH when there is not one for each rollout, or those of a rollout's tokens are not as many as these.
 */
export function toCandidate(group: Group, algorithm: Judge, truncated: Truncated = 'keep'): Candidate {
  const { index, sampleId, episodes, logprobMismatch } = group;
  const scored = wholeRollouts(episodes);
  const rollouts = scored.map((rollout) => worthOf(rollout, truncated));
  const dropped = truncated === 'drop' ? [...scored.keys()].filter((i) => scored[i]!.end !== undefined) : [];
  const rewards = judge('shape', group, () => algorithm.shape(rollouts));
  checkRewards('shape', group, rewards, rollouts.length);
  const advantages = judge('advantage', group, () => algorithm.advantage(rewards, rollouts));
  checkWorths(
    'advantage',
    group,
    advantages,
    rollouts.map(({ tokenIds }) => tokenIds.length),
  );
  return {
    index,
    sampleId,
    version: oldestVersion(episodes),
    informative: judge('isInformative', group, () =>
      algorithm.isInformative(
        rewards,
        advantages.map((worth, i) => (dropped.includes(i) ? 0 : worth)),
      ),
    ),
    rewards,
    advantages,
    tokens: rollouts.map(chosenTokens),
    lengths: rolloutsOf(episodes).map((parts) => parts.map(({ tokenIds }) => tokenIds.length)),
    dropped,
    sums: sumsOf(scored),
    ...(logprobMismatch !== undefined && { logprobMismatch }),
  };
}

/**
 * The worth of the episodes of a batch, after the algorithm's second stage over all of it: parts of a rollout have that of the
 * rollout, null where it is dropped. Shapes: [groups][episodes].
 *
 * @throws {ForgeError} as `toCandidate`, with the `index` of a group when one is to blame; else naming all of them.
 */
export function judgeBatch(
  selected: readonly Candidate[],
  algorithm: Pick<Judge, 'acrossBatch'>,
): (Worth | null)[][] {
  const groups = selected.map(judgedGroup);
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
  return selected.map((candidate, i) => {
    const { lengths, dropped } = candidate;
    checkWorths('acrossBatch', candidate, worths[i]!, lengths.map(sum));
    const rollouts = lengths.flatMap((parts, rollout) => parts.map(() => rollout));
    return worthsOfParts(worths[i]!, lengths).map((worth, part) =>
      dropped.includes(rollouts[part]!) ? null : worth,
    );
  });
}

/**
 * Metrics of a batch over all the candidates it was chosen from; names and formulas as in METRICS of
 * `@forge/telemetry`.
 */
export function batchStatistics(candidates: readonly Candidate[]): Record<string, number> {
  const total = (value: (sums: Sums) => number) => candidates.reduce((sum, { sums }) => sum + value(sums), 0);
  const rollouts = total((sums) => sums.rollouts);
  const mean = total((sums) => sums.reward) / rollouts;
  const variance = total((sums) => sums.rewardSquare) / rollouts - mean ** 2;
  const functions = new Set(candidates.flatMap(({ sums }) => Object.keys(sums.rewards)));
  return {
    'reward/mean': mean,
    'reward/std': Math.sqrt(Math.max(0, variance)),
    ...Object.fromEntries(
      [...functions].map((name) => [`reward/${name}`, total((sums) => sums.rewards[name] ?? 0) / rollouts]),
    ),
    ...Object.fromEntries(
      rolloutEndSchema.options
        .map((reason) => [reason, total((sums) => sums.truncated[reason] ?? 0)] as const)
        .filter(([, count]) => count > 0)
        .map(([reason, count]) => [`rollout/truncated/${reason}`, count / rollouts]),
    ),
    'groups/informative_share':
      candidates.filter(({ informative }) => informative).length / candidates.length,
    'completion/length_mean': total((sums) => sums.tokens) / rollouts,
    logprob_mismatch: Math.max(0, ...candidates.map(({ logprobMismatch = 0 }) => logprobMismatch)),
  };
}

/** The group as a second stage sees it, to which a rollout that is dropped brings no token. */
function judgedGroup({ rewards, advantages, tokens, dropped }: Candidate): JudgedGroup {
  return {
    rewards,
    advantages: advantages.map((worth, i) => (dropped.includes(i) ? 0 : worth)),
    tokens: tokens.map((count, i) => (dropped.includes(i) ? 0 : count)),
  };
}

/** A rollout with the reward that it counts with. */
function worthOf(rollout: Episode, truncated: Truncated): Episode {
  return typeof truncated === 'object' && rollout.end !== undefined
    ? { ...rollout, reward: truncated.reward }
    : rollout;
}

interface Sums {
  rollouts: number;
  reward: number;
  rewardSquare: number;
  /** Sums by reward function, before weighting. */
  rewards: Record<string, number>;
  /** Tokens the policy chose. */
  tokens: number;
  /** Rollouts that were cut off, by the reason. */
  truncated: Partial<Record<RolloutEnd, number>>;
}

function sumsOf(rollouts: readonly Episode[]): Sums {
  const sums: Sums = {
    rollouts: rollouts.length,
    reward: 0,
    rewardSquare: 0,
    rewards: {},
    tokens: 0,
    truncated: {},
  };
  for (const { reward, rewards, mask, end } of rollouts) {
    sums.reward += reward;
    sums.rewardSquare += reward ** 2;
    for (const [name, value] of Object.entries(rewards))
      sums.rewards[name] = (sums.rewards[name] ?? 0) + value;
    sums.tokens += chosenTokens({ mask });
    if (end !== undefined) sums.truncated[end] = (sums.truncated[end] ?? 0) + 1;
  }
  return sums;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
