import type { HostTensor } from '@forge/engine';
import type { CacheBlock } from './cache-block';

/** Cached positions of a batch are padded to a multiple of this, so that few sizes occur. */
const PAD_TO = 8;

/** Names of the caches in the graphs: the keys of every layer, then the values. */
export function cacheNames(layers: number): string[] {
  return ['keys', 'values'].flatMap((part) =>
    Array.from({ length: layers }, (_, layer) => `${part}.${layer}`),
  );
}

/** The output of decoding that goes behind the cache `name`. */
export function newName(name: string): string {
  return `new.${name}`;
}

/**
 * The length of one sequence's keys and values: those of its prompt, which others may share, and behind them its own. Where
 * its own lie is up to the `RunningCaches`; the prompt's are those of its last block and of the blocks before that.
 */
export class KvCache {
  ownLength = 0;

  constructor(readonly prompt: CacheBlock | null) {}

  get promptLength(): number {
    return this.prompt?.end ?? 0;
  }

  get length(): number {
    return this.promptLength + this.ownLength;
  }
}

/** Caches of which each is there once. */
export interface DistinctCaches {
  distinct: KvCache[];
  /** Place of the cache of each sequence among the distinct ones. */
  cacheOf: number[];
}

/** The distinct ones among the caches of sequences; those without positions of their own share the cache of their prompt. */
export function distinctCaches(caches: readonly KvCache[]): DistinctCaches {
  const places = new Map<KvCache | CacheBlock | null, number>();
  const distinct: KvCache[] = [];
  const cacheOf = caches.map((cache) => {
    const identity = cache.ownLength === 0 ? cache.prompt : cache;
    const known = places.get(identity);
    if (known !== undefined) return known;
    places.set(identity, distinct.length);
    return distinct.push(cache) - 1;
  });
  return { distinct, cacheOf };
}

/** The positions of a batch of caches: their longest length up to a multiple of 8, at least 8. */
export function paddedLength(caches: readonly KvCache[]): number {
  const longest = Math.max(1, ...caches.map(({ length }) => length));
  return Math.ceil(longest / PAD_TO) * PAD_TO;
}

/** The place of each sequence's cache as the decode program takes it, int64 [B]. */
export function cacheOfFeed(cacheOf: readonly number[]): HostTensor {
  return { dtype: 'int64', shape: [cacheOf.length], data: BigInt64Array.from(cacheOf, BigInt) };
}
