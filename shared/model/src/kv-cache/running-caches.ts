import type { AnyTensor, Engine, RunOutputs } from '@forge/engine';
import type { ModelConfig } from '../transformer/model-config';
import { DeviceCaches } from './device-caches';
import { HostCaches } from './host-caches';
import type { KvCache } from './kv-cache';

/** Keys and values of the sequences that are decoded together, in the memory where they are put together. */
export interface RunningCaches {
  /** Outputs of the decode program that stay on the device. */
  readonly kept: readonly string[];
  /**
   * The distinct caches as one batch, and the cache of each sequence. What lies behind a cache's length is finite and has
   * no meaning.
   *
   * Shapes: keys.L and values.L [C, kvHeads, P, headDim] by layer, cacheOf int64 [B]; C distinct caches, P their longest
   * length up to a multiple of 8, B sequences.
   */
  batch(caches: readonly KvCache[]): Promise<Record<string, AnyTensor>>;
  /**
   * Lengthens the caches of the last batch by what decoding gave for it, which is theirs from now on: the first `count`
   * positions of a row each, in the order of the sequences.
   */
  append(caches: readonly KvCache[], outputs: RunOutputs, count: number): void;
  /** Frees what no sequence needs any more, once none is left. */
  clear(): void;
  close(): Promise<void>;
}

/** The caches of sequences to come, in the memory that the engine prefers. */
export function createRunningCaches(engine: Engine, config: ModelConfig): RunningCaches {
  return engine.memory === 'host' ? new HostCaches(config) : new DeviceCaches(engine, config);
}
