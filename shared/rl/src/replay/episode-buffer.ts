import { ForgeError } from '@forge/errors';
import { mix } from '../tasks/seeded-hash';

export interface EpisodeBufferOptions<Item> {
  /** Items of one rank's batch. */
  batchSize: number;
  /** Batches drawn at once, one per data-parallel rank. */
  dataParallelSize?: number;
  /** Policy versions an item may be behind when it is drawn; Infinity, the default, for no bound. */
  maxPolicyAge?: number;
  /** Items kept at most; beyond it the oldest makes room. Infinity by default. */
  maxBufferSize?: number;
  /** Draws of an item after its first; Infinity for no bound. */
  maxResampleCount?: number;
  seed?: number;
  /** Policy version that produced an item. */
  versionOf: (item: Item) => number;
}

/** A whole buffer as plain data. */
export interface EpisodeBufferState<Item> {
  buffer: { item: Item; sampleCount: number }[];
  /** Batches drawn so far: with the seed, the state of the random numbers. */
  draws: number;
  seed: number;
}

/**
 * A buffer of episodes in memory: items go in one by one, come out in random batches, and leave when they are too old or
 * were drawn often enough.
 *
 * @see torchforge's ReplayBuffer, whose `max_buffer_size` stops counting after the first draw and whose
 *   `max_resample_count` can't be unbounded; here both hold.
 */
export class EpisodeBuffer<Item> {
  private entries: { item: Item; sampleCount: number }[] = [];
  private draws = 0;
  private readonly options: Required<EpisodeBufferOptions<Item>>;

  /** @throws {ForgeError} CONFIG_INVALID for a size other than a whole number of at least 1. */
  constructor(options: EpisodeBufferOptions<Item>) {
    this.options = {
      dataParallelSize: 1,
      maxPolicyAge: Infinity,
      maxBufferSize: Infinity,
      maxResampleCount: 0,
      seed: 0,
      ...options,
    };
    for (const field of ['batchSize', 'dataParallelSize', 'maxBufferSize'] as const) {
      const value = this.options[field];
      if (value >= 1 && (Number.isInteger(value) || value === Infinity)) continue;
      const message = `episode buffer: ${field}: found ${value}, expected a whole number of at least 1`;
      throw new ForgeError('CONFIG_INVALID', message, { field, value });
    }
  }

  get size(): number {
    return this.entries.length;
  }

  add(item: Item): void {
    this.entries.push({ item, sampleCount: 0 });
    this.shrink();
  }

  /** The item at a position, oldest first, counted from the end where it is negative. */
  at(position: number): Item | undefined {
    return this.entries.at(position)?.item;
  }

  /** Removes items too old for `policyVersion` or drawn as often as they may be; their number. */
  evict(policyVersion: number): number {
    const { maxPolicyAge, maxResampleCount, versionOf } = this.options;
    const before = this.entries.length;
    this.entries = this.entries.filter(
      ({ item, sampleCount }) =>
        policyVersion - versionOf(item) <= maxPolicyAge && sampleCount <= maxResampleCount,
    );
    return before - this.entries.length;
  }

  /**
   * One random batch per data-parallel rank, no item twice, after `evict(policyVersion)`; null while there are too few.
   *
   * Shapes: [dataParallelSize][batchSize].
   */
  sample(policyVersion: number): Item[][] | null {
    this.evict(policyVersion);
    const { batchSize, dataParallelSize, seed } = this.options;
    const wanted = batchSize * dataParallelSize;
    if (this.entries.length < wanted) return null;
    const key = mix(mix(seed, 1), this.draws++);
    const order = this.entries.map((_, i) => i);
    // Fisher-Yates, as far as it is needed.
    for (let i = 0; i < wanted; i++) {
      const j = i + (mix(key, i) % (order.length - i));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    const drawn = order.slice(0, wanted).map((i) => this.entries[i]!);
    for (const entry of drawn) entry.sampleCount += 1;
    return Array.from({ length: dataParallelSize }, (_, rank) =>
      drawn.slice(rank * batchSize, (rank + 1) * batchSize).map(({ item }) => item),
    );
  }

  clear(): void {
    this.entries = [];
  }

  state(): EpisodeBufferState<Item> {
    return {
      buffer: this.entries.map((entry) => ({ ...entry })),
      draws: this.draws,
      seed: this.options.seed,
    };
  }

  /** Takes over another buffer, and draws next as that one would have. */
  restore({ buffer, draws, seed }: EpisodeBufferState<Item>): void {
    this.entries = buffer.map((entry) => ({ ...entry }));
    this.options.seed = seed;
    this.draws = draws;
    this.shrink();
  }

  private shrink(): void {
    const { maxBufferSize } = this.options;
    if (this.entries.length > maxBufferSize) this.entries.splice(0, this.entries.length - maxBufferSize);
  }
}
