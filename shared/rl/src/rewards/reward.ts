import type { Completion, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { ObserveReward, RewardHandle } from '../rollouts/rollout';

/** Judges one completion of a sample. Higher is better; 1 is the customary full mark. */
export interface Reward {
  name: string;
  score(sample: Sample, text: string, completion: Completion): number | Promise<number>;
}

/** Default export of a user's reward module: `options` are those of the recipe. */
export type RewardFactory = (options: Record<string, unknown>) => Reward;

const unobserved: ObserveReward = (_name, score) => score();

/**
 * Several rewards as one: the weighted sum, and each raw value under its name.
 *
 * @throws {ForgeError} CONFIG_INVALID when two rewards share a name; NUMERIC_NON_FINITE (from `score`) when a reward
 *   returns anything but a finite number.
 */
export function combineRewards(parts: readonly { reward: Reward; weight: number }[]): RewardHandle {
  const names = parts.map(({ reward }) => reward.name);
  const repeated = names.find((name, i) => names.indexOf(name) < i);
  if (repeated !== undefined) {
    throw new ForgeError('CONFIG_INVALID', `rewards: two are named '${repeated}', expected different names`, {
      field: 'rewards',
    });
  }
  return {
    async score(sample, completion, observe = unobserved) {
      const values = await Promise.all(
        parts.map(({ reward }) =>
          observe(reward.name, () => reward.score(sample, completion.text, completion)),
        ),
      );
      values.forEach((value, i) => {
        if (Number.isFinite(value)) return;
        throw new ForgeError(
          'NUMERIC_NON_FINITE',
          `reward '${names[i]}' returned ${String(value)} for sample '${sample.id}', expected a finite number`,
          { reward: names[i], sampleId: sample.id },
        );
      });
      return {
        reward: parts.reduce((sum, { weight }, i) => sum + weight * values[i]!, 0),
        rewards: Object.fromEntries(names.map((name, i) => [name, values[i]!])),
      };
    },
  };
}
