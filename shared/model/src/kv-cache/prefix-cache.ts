import { CacheBlock } from './cache-block';

/** Keeps blocks of the prompts that were prefilled under one version of the weights, for prompts that begin alike. */
export class PrefixCache {
  /** By parent and tokens, least recently used first; a block comes before the blocks it follows. */
  private readonly kept = new Map<string, CacheBlock>();
  private keptBytes = 0;
  private blocks = 0;

  constructor(private readonly maxBytes: number) {}

  get sizeBytes(): number {
    return this.keptBytes;
  }

  /**
   * The last block of each sequence, with those before it as its parents: kept ones where there are, else new ones
   * without parts. Sequences share the blocks they begin with; null for one without tokens.
   */
  chains(sequences: readonly (readonly number[])[]): (CacheBlock | null)[] {
    const fresh = new Map<string, CacheBlock>();
    return sequences.map((tokens) => {
      let last: CacheBlock | null = null;
      for (const part of CacheBlock.cut(tokens)) {
        const key: string = CacheBlock.key(last, part);
        let block: CacheBlock | undefined = this.kept.get(key) ?? fresh.get(key);
        if (block === undefined) fresh.set(key, (block = new CacheBlock(this.blocks++, last, part)));
        last = block;
      }
      return last;
    });
  }

  /** Keeps the whole blocks of chains, and lets go of the least recently used ones beyond the bound. */
  keep(chains: readonly (CacheBlock | null)[]): void {
    for (const last of chains) {
      for (let block = last; block !== null; block = block.parent) {
        if (!block.isWhole) continue;
        if (!this.kept.delete(block.key)) this.keptBytes += block.sizeBytes;
        this.kept.set(block.key, block);
      }
    }
    for (const [key, { sizeBytes }] of this.kept) {
      if (this.keptBytes <= this.maxBytes) break;
      this.kept.delete(key);
      this.keptBytes -= sizeBytes;
    }
  }
}
