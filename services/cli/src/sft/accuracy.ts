import { samplingSchema, type Sample } from '@forge/contracts';
import { ForgeError, type ErrorCode } from '@forge/errors';
import type { RewardHandle } from '@forge/rl';
import type { LocalGenerator } from './local-generator';

/** A sample that could not be answered or judged. */
export interface FailedSample {
  id: string;
  code: ErrorCode;
  message: string;
}

export interface GreedyAccuracy {
  /** The share of samples whose greedy completion gets at least 1 from the reward; a failed one does not. */
  accuracy: number;
  failed: FailedSample[];
}

/**
 * Answers every sample greedily and judges it by the reward of that name. One bad sample does not keep the others from being
 * counted.
 *
 * @throws {ForgeError} what the first sample threw, when not one could be answered and judged.
 */
export async function greedyAccuracy(
  generator: LocalGenerator,
  samples: readonly Sample[],
  rewards: RewardHandle,
  rewardName: string,
  maxTokens: number,
): Promise<GreedyAccuracy> {
  const sampling = samplingSchema.parse({ temperature: 0, maxTokens });
  const isCorrect = async (sample: Sample): Promise<boolean> => {
    const [completion] = await generator.complete([sample], sampling, 0);
    const { rewards: values } = await rewards.score(sample, completion!);
    return (values[rewardName] ?? 0) >= 1;
  };
  const judged = await Promise.allSettled(samples.map(isCorrect));
  const failed = judged.flatMap((result, i): FailedSample[] => {
    if (result.status === 'fulfilled') return [];
    const { code, message } = ForgeError.from(result.reason);
    return [{ id: samples[i]!.id, code, message }];
  });
  const [first] = judged;
  if (failed.length === samples.length && first?.status === 'rejected') throw first.reason;
  const correct = judged.filter((result) => result.status === 'fulfilled' && result.value).length;
  return { accuracy: correct / samples.length, failed };
}
