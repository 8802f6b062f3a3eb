import { samplingSchema, type Sample } from '@forge/contracts';
import { ForgeError, type ErrorCode } from '@forge/errors';
import { isUnjudged, type RewardHandle } from '@forge/rl';
import type { LocalGenerator } from './local-generator';

/** A sample that could not be answered or judged. */
export interface FailedSample {
  id: string;
  code: ErrorCode;
  message: string;
  /** Set when what should have judged it was at fault: it counts neither as right nor as wrong. */
  isUnjudged?: true;
}

export interface GreedyAccuracy {
  /** Share of the judged samples whose greedy completion gets at least 1 from the reward; a failed one does not. */
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
  const results = await Promise.allSettled(samples.map(isCorrect));
  const failed = results.flatMap((result, i): FailedSample[] => {
    if (result.status === 'fulfilled') return [];
    const { code, message } = ForgeError.from(result.reason);
    return [{ id: samples[i]!.id, code, message, ...(isUnjudged(code) && { isUnjudged: true as const }) }];
  });
  const [first] = results;
  if (failed.length === samples.length && first?.status === 'rejected') throw first.reason;
  const correct = results.filter((result) => result.status === 'fulfilled' && result.value).length;
  const judged = samples.length - failed.filter((sample) => sample.isUnjudged).length;
  return { accuracy: judged === 0 ? 0 : correct / judged, failed };
}
