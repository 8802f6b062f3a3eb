import type { HostTensor } from '@forge/engine';
import type { ModelConfig } from './model-config';

/** Cached positions of a batch are padded to a multiple of this, so that few sizes occur. */
const PAD_TO = 8;

/** Keys and values of one sequence, by layer: [kvHeads, length, headDim] each. */
export class KvCache {
  private constructor(
    readonly length: number,
    private readonly keys: readonly Float32Array[],
    private readonly values: readonly Float32Array[],
  ) {}

  static empty(layers: number): KvCache {
    const none = Array.from({ length: layers }, () => new Float32Array(0));
    return new KvCache(0, none, none);
  }

  /** The first `length` positions of row `row` of what prefill gave. */
  static fromPrefill(outputs: Readonly<Record<string, HostTensor>>, row: number, length: number, config: ModelConfig): KvCache {
    const take = (name: string) => (_: unknown, layer: number) =>
      cutRow(outputs[`${name}.${layer}`]!, row, length, config);
    const layers = Array.from({ length: config.layers });
    return new KvCache(length, layers.map(take('keys')), layers.map(take('values')));
  }

  /** This cache followed by the first `count` positions of row `row` of what decoding gave; a new cache. */
  extended(outputs: Readonly<Record<string, HostTensor>>, row: number, count: number, config: ModelConfig): KvCache {
    const join = (name: string, old: readonly Float32Array[]): Float32Array[] =>
      old.map((before, layer) => {
        const { headDim, kvHeads } = config;
        const added = cutRow(outputs[`new.${name}.${layer}`]!, row, count, config);
        const joined = new Float32Array(kvHeads * (this.length + count) * headDim);
        for (let head = 0; head < kvHeads; head++) {
          const start = head * (this.length + count) * headDim;
          joined.set(before.subarray(head * this.length * headDim, (head + 1) * this.length * headDim), start);
          joined.set(added.subarray(head * count * headDim, (head + 1) * count * headDim), start + this.length * headDim);
        }
        return joined;
      });
    return new KvCache(this.length + count, join('keys', this.keys), join('values', this.values));
  }

  /** The caches as one batch, padded at the end with zeros: keys.L and values.L [B, kvHeads, P, headDim]. */
  static batch(caches: readonly KvCache[], config: ModelConfig): Record<string, HostTensor> {
    const { layers, kvHeads, headDim } = config;
    const longest = Math.max(1, ...caches.map(({ length }) => length));
    const padded = Math.ceil(longest / PAD_TO) * PAD_TO;
    const feeds: Record<string, HostTensor> = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const name of ['keys', 'values'] as const) {
        const data = new Float32Array(caches.length * kvHeads * padded * headDim);
        caches.forEach((cache, row) => {
          const source = cache[name][layer]!;
          const size = cache.length * headDim;
          for (let head = 0; head < kvHeads; head++) {
            data.set(source.subarray(head * size, (head + 1) * size), (row * kvHeads + head) * padded * headDim);
          }
        });
        feeds[`${name}.${layer}`] = { dtype: 'float32', shape: [caches.length, kvHeads, padded, headDim], data };
      }
    }
    return feeds;
  }
}

/** Row `row` of [B, kvHeads, T, headDim], its first `length` positions: [kvHeads, length, headDim]. */
function cutRow({ shape, data }: HostTensor, row: number, length: number, { kvHeads, headDim }: ModelConfig): Float32Array {
  const positions = shape[2]!;
  const cut = new Float32Array(kvHeads * length * headDim);
  for (let head = 0; head < kvHeads; head++) {
    const start = (row * kvHeads + head) * positions * headDim;
    cut.set((data as Float32Array).subarray(start, start + length * headDim), head * length * headDim);
  }
  return cut;
}
