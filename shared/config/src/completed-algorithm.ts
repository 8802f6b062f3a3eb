import type { AlgorithmConfig } from './algorithm';
import { rewardName, type RewardConfig } from './reward';

/** The parts of a recipe that its algorithm's section draws on. */
interface Surroundings {
  algorithm: AlgorithmConfig;
  sampling: { maxTokens: number };
  rewards: readonly RewardConfig[];
}

/** The algorithm's section with what it takes from the rest of its recipe: the longest completion, and weights of rewards. */
export function completedAlgorithm({ algorithm, sampling, rewards }: Surroundings): AlgorithmConfig {
  if (algorithm.name === 'module') return algorithm;
  const completed = structuredClone(algorithm);
  if (completed.shaping.overlong !== undefined) completed.shaping.overlong.maxTokens ??= sampling.maxTokens;
  if ('normalization' in completed && completed.normalization === 'constant')
    completed.normalizationTokens ??= sampling.maxTokens;
  if (completed.name === 'gdpo')
    completed.weights ??= Object.fromEntries(rewards.map((one) => [rewardName(one), one.weight]));
  return completed;
}
