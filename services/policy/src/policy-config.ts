import type { Recipe } from '@forge/config';
import type { PolicyConfig } from '@forge/rl-actors';

/** The policy a recipe asks for. */
export function policyConfig({ model, date, policy, sampling, seed, trainer }: Recipe): PolicyConfig {
  const { threads, device, maxBatch, chunk, weights, refreshCache } = policy;
  const scoring = { maxBatchTokens: trainer.microBatchTokens, logitsChunk: trainer.logitsChunk };
  return {
    worker: { model, date, threads, device, maxBatch, chunk, weights, refreshCache, scoring },
    sampling,
    seed,
  };
}
