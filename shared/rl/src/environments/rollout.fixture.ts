import type { Episode, Sample } from '@forge/contracts';
import type { PolicyHandle, RewardHandle, Rollout, RolloutRecord } from '../rollouts/rollout';
import { ScriptedPolicy, type Script } from './scripted-policy.fixture';

export const sample: Sample = { id: 's', prompt: '12*34=', answer: '408' };

/** 1 where the last answer is the sample's. */
export const exact: RewardHandle = {
  score: ({ answer }, { text }) => {
    const value = text === answer ? 1 : 0;
    return Promise.resolve({ reward: value, rewards: { exact: value } });
  },
};

/** Counts metrics by name; times are counted as well. */
export class CountedRecord implements RolloutRecord {
  readonly counts: Record<string, number> = {};

  count(metric: string): void {
    this.counts[metric] = (this.counts[metric] ?? 0) + 1;
  }

  async time<T>(metric: string, work: () => Promise<T>): Promise<T> {
    const result = await work();
    this.count(metric);
    return result;
  }
}

export interface Rolled {
  episodes: Episode[];
  policy: ScriptedPolicy;
  /** Contents of the messages of the first conversation. */
  said: string[];
  counts: Record<string, number>;
}

/** A group rolled out with a policy that answers by the script. */
export async function rollOut(
  rollout: Rollout,
  script: Script,
  given: {
    groupSize?: number;
    signal?: AbortSignal;
    sample?: Sample;
    seed?: string;
    reward?: RewardHandle;
  } = {},
): Promise<Rolled> {
  const policy = new ScriptedPolicy(script);
  const record = new CountedRecord();
  const handle = policy as unknown as PolicyHandle;
  const context = { sample, reward: exact, groupSize: 1, ...given, policy: handle, record };
  const episodes = await rollout(context);
  const said = policy.conversations[0]!.messages.map(({ content }) => content);
  return { episodes, policy, said, counts: record.counts };
}
