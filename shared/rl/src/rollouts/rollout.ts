import type { Completion, Episode, Sample } from '@forge/contracts';
import type { ChatPolicy } from '../conversation/chat-policy';
import type { OpenConversation } from '../conversation/conversation';
import { episode } from './episode';

/** The policy as a rollout sees it: a model that continues prompts, and holds conversations. */
export interface PolicyHandle extends ChatPolicy {
  conversation: OpenConversation;
}

/** The weighted sum of all rewards, and the raw value of each. */
export interface Score {
  reward: number;
  rewards: Record<string, number>;
}

/** Calls one reward function, and lets the caller see how long each takes. */
export type ObserveReward = (name: string, score: () => number | Promise<number>) => number | Promise<number>;

/** The rewards of a recipe as a rollout sees them. */
export interface RewardHandle {
  score(sample: Sample, completion: Completion, observe?: ObserveReward): Promise<Score>;
}

/** Takes down what happened in rollouts, for the metrics of the step. */
export interface RolloutRecord {
  /** One more of what the metric counts. */
  count(metric: string): void;
  /** Does `work` and takes down the milliseconds. */
  time<T>(metric: string, work: () => Promise<T>): Promise<T>;
}

/** Takes nothing down. */
export const unrecorded: RolloutRecord = { count: () => undefined, time: (_metric, work) => work() };

export interface RolloutContext {
  sample: Sample;
  policy: PolicyHandle;
  reward: RewardHandle;
  groupSize: number;
  /** Seed of what is random besides the policy, the same when the group runs again; left out: the sample's id. */
  seed?: string;
  /** Aborted once nobody waits for the group any more. */
  signal?: AbortSignal;
  record?: RolloutRecord;
}

/** One prompt to a group of scored episodes. Runs as a durable job; re-run from the start if its host dies. */
export type Rollout = (context: RolloutContext) => Promise<Episode[]>;

/** Generates `groupSize` completions of the prompt and scores each. */
export const defaultRollout: Rollout = async ({ sample, policy, reward, groupSize }) => {
  const completions = await policy.generate(sample.prompt, { n: groupSize });
  return Promise.all(completions.map(async (c) => episode(c, await reward.score(sample, c))));
};
