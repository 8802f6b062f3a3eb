import { samplingSchema, type Sample } from '@forge/contracts';
import type { RewardHandle } from '@forge/rl';
import type { LocalGenerator } from './local-generator';

/** The share of samples whose greedy completion gets at least 1 from the reward of that name. */
export async function greedyAccuracy(
  generator: LocalGenerator,
  samples: readonly Sample[],
  rewards: RewardHandle,
  rewardName: string,
  maxTokens: number,
): Promise<number> {
  const sampling = samplingSchema.parse({ temperature: 0, maxTokens });
  const completions = await generator.complete(samples, sampling, 0);
  const scores = await Promise.all(
    completions.map((completion, i) => rewards.score(samples[i]!, completion)),
  );
  return scores.filter((score) => (score.rewards[rewardName] ?? 0) >= 1).length / samples.length;
}
