import type { HostTensor } from '@forge/engine';
import type { CacheBlock } from './cache-block';
import type { ModelConfig } from '../transformer/model-config';

/** Cached positions of a batch are padded to a multiple of this, so that few sizes occur. */
const PAD_TO = 8;

/** Names of the caches in the graphs: the keys of every layer, then the values. */
export function cacheNames(layers: number): string[] {
  return ['keys', 'values'].flatMap((part) =>
    Array.from({ length: layers }, (_, layer) => `${part}.${layer}`),
  );
}

/** The parts of a cache block: the first `length` positions of row `row` of the outputs of prefill. */
export function blockParts(
  outputs: Readonly<Record<string, HostTensor>>,
  row: number,
  length: number,
  { layers, kvHeads, headDim }: ModelConfig,
): Float32Array[] {
  return cacheNames(layers).map((name) => {
    const cut = new Float32Array(kvHeads * length * headDim);
    copyRow(outputs[`new.${name}`]!, row, length, cut, 0, length);
    return cut;
  });
}

/**
 * Keys and values of one sequence: the prompt's, which others may share, and behind them its own. The prompt's are those
 * of its last block and of the blocks before that.
 */
export class KvCache {
  /** [kvHeads, capacity, headDim] each, of which `ownLength` positions are used. */
  private own: Float32Array[] = [];
  private ownLength = 0;
  private capacity = 0;

  constructor(private readonly prompt: CacheBlock | null) {}

  get length(): number {
    return this.promptLength + this.ownLength;
  }

  private get promptLength(): number {
    return this.prompt?.end ?? 0;
  }

  /** Adds the first `count` positions of row `row` of the outputs of decoding. */
  append(
    outputs: Readonly<Record<string, HostTensor>>,
    row: number,
    count: number,
    config: ModelConfig,
  ): void {
    const needed = this.ownLength + count;
    if (needed > this.capacity) this.grow(Math.max(needed, 2 * this.capacity), config);
    cacheNames(config.layers).forEach((name, i) => {
      copyRow(outputs[`new.${name}`]!, row, count, this.own[i]!, this.ownLength, this.capacity);
    });
    this.ownLength = needed;
  }

  /**
   * The distinct caches as one batch, padded at the end with zeros, and the cache of each sequence. Sequences that have
   * generated nothing yet share the cache of their prompt.
   *
   * Shapes: keys.L and values.L [C, kvHeads, P, headDim] by layer, cacheOf int64 [B]; C distinct caches, P their longest
   * length up to a multiple of 8, B sequences.
   */
  static batch(
    caches: readonly KvCache[],
    { layers, kvHeads, headDim }: ModelConfig,
  ): Record<string, HostTensor> {
    const indices = new Map<KvCache | CacheBlock | null, number>();
    const distinct: KvCache[] = [];
    const cacheOf = BigInt64Array.from(caches, (cache) => {
      const identity = cache.ownLength === 0 ? cache.prompt : cache;
      let index = indices.get(identity);
      if (index === undefined) {
        index = distinct.push(cache) - 1;
        indices.set(identity, index);
      }
      return BigInt(index);
    });
    const longest = Math.max(1, ...distinct.map(({ length }) => length));
    const padded = Math.ceil(longest / PAD_TO) * PAD_TO;
    const shape = [distinct.length, kvHeads, padded, headDim];
    const feeds: Record<string, HostTensor> = {
      cacheOf: { dtype: 'int64', shape: [caches.length], data: cacheOf },
    };
    cacheNames(layers).forEach((name, i) => {
      const data = new Float32Array(distinct.length * kvHeads * padded * headDim);
      distinct.forEach((cache, row) => {
        for (let head = 0; head < kvHeads; head++) {
          cache.copyHead(data, (row * kvHeads + head) * padded * headDim, i, head, headDim);
        }
      });
      feeds[name] = { dtype: 'float32', shape, data };
    });
    return feeds;
  }

  /** Writes one head of part `index` to `data` at `at`. */
  private copyHead(data: Float32Array, at: number, index: number, head: number, headDim: number): void {
    for (let block = this.prompt; block !== null; block = block.parent) {
      const size = block.tokens.length * headDim;
      const part = block.parts[index]!.subarray(head * size, (head + 1) * size);
      data.set(part, at + block.start * headDim);
    }
    if (this.ownLength === 0) return;
    const start = head * this.capacity * headDim;
    const own = this.own[index]!.subarray(start, start + this.ownLength * headDim);
    data.set(own, at + this.promptLength * headDim);
  }

  private grow(capacity: number, { layers, kvHeads, headDim }: ModelConfig): void {
    const used = this.ownLength * headDim;
    this.own = Array.from({ length: 2 * layers }, (_, i) => {
      const grown = new Float32Array(kvHeads * capacity * headDim);
      for (let head = 0; used > 0 && head < kvHeads; head++) {
        const start = head * this.capacity * headDim;
        grown.set(this.own[i]!.subarray(start, start + used), head * capacity * headDim);
      }
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
