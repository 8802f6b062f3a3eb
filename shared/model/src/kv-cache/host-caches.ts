import type { HostTensor, RunOutputs } from '@forge/engine';
import type { ModelConfig } from '../transformer/model-config';
import { cacheNames, cacheOfFeed, distinctCaches, newName, paddedLength, type KvCache } from './kv-cache';
import type { RunningCaches } from './running-caches';

/** The parts of a cache block: the first `length` positions of row `row` of the outputs of prefill. */
export function blockParts(
  outputs: Readonly<Record<string, HostTensor>>,
  row: number,
  length: number,
  { layers, kvHeads, headDim }: ModelConfig,
): Float32Array[] {
  return cacheNames(layers).map((name) => {
    const cut = new Float32Array(kvHeads * length * headDim);
    copyRow(outputs[newName(name)]!, row, length, cut, 0, length);
    return cut;
  });
}

/** Keys and values in arrays of the host, one after the other by sequence; every batch is a copy of them. */
export class HostCaches implements RunningCaches {
  readonly kept = [];
  /** Positions behind the prompt's; those of a sequence that nobody refers to any more are gone. */
  private readonly own = new WeakMap<KvCache, OwnPositions>();

  constructor(private readonly config: ModelConfig) {}

  batch(caches: readonly KvCache[]): Promise<Record<string, HostTensor>> {
    const { distinct, cacheOf } = distinctCaches(caches);
    return Promise.resolve({ ...this.together(distinct), cacheOf: cacheOfFeed(cacheOf) });
  }

  append(caches: readonly KvCache[], { host }: RunOutputs, count: number): void {
    caches.forEach((cache, row) => {
      const own = this.own.get(cache) ?? new OwnPositions(this.config);
      own.append(host, row, count);
      this.own.set(cache, own);
      cache.ownLength += count;
    });
  }

  clear(): void {
    // Nothing to free: the arrays go with their sequences.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Caches side by side, padded at the end with zeros: [caches, kvHeads, P, headDim] by name. */
  together(caches: readonly KvCache[]): Record<string, HostTensor> {
    const { layers, kvHeads, headDim } = this.config;
    const padded = paddedLength(caches);
    const shape = [caches.length, kvHeads, padded, headDim];
    const part = (index: number): HostTensor => {
      const data = new Float32Array(caches.length * kvHeads * padded * headDim);
      caches.forEach((cache, row) => {
        for (let head = 0; head < kvHeads; head++)
          this.copyHead(cache, index, head, data, (row * kvHeads + head) * padded * headDim);
      });
      return { dtype: 'float32', shape, data };
    };
    return Object.fromEntries(cacheNames(layers).map((name, index) => [name, part(index)]));
  }

  /** Writes one head of part `index` of a cache to `data` at `at`. */
  private copyHead(cache: KvCache, index: number, head: number, data: Float32Array, at: number): void {
    const { headDim } = this.config;
    for (let block = cache.prompt; block !== null; block = block.parent) {
      const size = block.tokens.length * headDim;
      const part = block.parts[index]!.subarray(head * size, (head + 1) * size);
      data.set(part, at + block.start * headDim);
    }
    const own = this.own.get(cache)?.head(index, head);
    if (own) data.set(own, at + cache.promptLength * headDim);
  }
}

/** Keys and values of one sequence behind those of its prompt. */
class OwnPositions {
  /** [kvHeads, capacity, headDim] each, of which `length` positions are used. */
  private parts: Float32Array[] = [];
  private length = 0;
  private capacity = 0;

  constructor(private readonly config: ModelConfig) {}

  append(outputs: Readonly<Record<string, HostTensor>>, row: number, count: number): void {
    const needed = this.length + count;
    if (needed > this.capacity) this.grow(Math.max(needed, 2 * this.capacity));
    cacheNames(this.config.layers).forEach((name, i) => {
      copyRow(outputs[newName(name)]!, row, count, this.parts[i]!, this.length, this.capacity);
    });
    this.length = needed;
  }

  /** One head of part `index`, [length, headDim]. */
  head(index: number, head: number): Float32Array {
    const { headDim } = this.config;
    const start = head * this.capacity * headDim;
    return this.parts[index]!.subarray(start, start + this.length * headDim);
  }

  private grow(capacity: number): void {
    const { layers, kvHeads, headDim } = this.config;
    this.parts = Array.from({ length: 2 * layers }, (_, i) => {
      const grown = new Float32Array(kvHeads * capacity * headDim);
      for (let head = 0; this.length > 0 && head < kvHeads; head++)
        grown.set(this.head(i, head), head * capacity * headDim);
      return grown;
    });
    this.capacity = capacity;
  }
}

/**
 * Copies the first `count` positions of row `row` of `source` [B, kvHeads, T, headDim] to `target` [kvHeads, capacity,
 * headDim], where they begin at position `at`.
 */
function copyRow(
  { shape, data }: HostTensor,
  row: number,
  count: number,
  target: Float32Array,
  at: number,
  capacity: number,
): void {
  const [, kvHeads, positions, headDim] = shape as [number, number, number, number];
  for (let head = 0; head < kvHeads; head++) {
    const start = (row * kvHeads + head) * positions * headDim;
    const cut = (data as Float32Array).subarray(start, start + count * headDim);
    target.set(cut, (head * capacity + at) * headDim);
  }
}
