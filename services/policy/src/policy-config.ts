import { engineOfReplica, type Recipe } from '@forge/config';
import type { PolicyConfig } from '@forge/rl-actors';

/** The policy a recipe asks of a replica. */
export function policyConfig(
  { model, date, adapter, policy, sampling, seed, trainer }: Recipe,
  replica: string,
): PolicyConfig {
  const { engine, device, threads, mathMode, maxBatch, chunk, prefixCacheMb, weights, refreshCache } = policy;
  const scoring = { maxBatchTokens: trainer.microBatchTokens, logitsChunk: trainer.logitsChunk };
  const computed = {
    engine: engineOfReplica(engine, replica),
    device,
    threads,
    mathMode,
    maxBatch,
    chunk,
    prefixCacheMb,
    weights,
    refreshCache,
  };
  const worker = { model, date, adapter: adapter && { ...adapter, seed }, ...computed, scoring };
  return { worker, sampling, seed };
}
