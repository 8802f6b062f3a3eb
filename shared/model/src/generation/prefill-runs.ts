import type { CacheBlock } from '../kv-cache/cache-block';

/** Positions in one prefill run at most, padding and cached ones included, unless one block alone has more. */
const PREFILL_POSITIONS = 8_192;
/** Attention scores of one layer in one prefill run at most, unless one block alone has more. */
const PREFILL_SCORES = 16 * 2 ** 20;
/** Blocks up to this many tokens are padded to each other: that costs less than another run. */
const PREFILL_NARROW = 32;
/** Blocks that end up to this position share a run whatever is before them. */
const PREFILL_EARLY = 256;

/**
 * The blocks cut into runs of blocks of similar length behind similarly many tokens that each stay within the memory
 * bounds; none may be empty.
 */
export function prefillRuns<T extends Pick<CacheBlock, 'tokens' | 'end'>>(
  blocks: readonly T[],
  heads: number,
): T[][] {
  const isNarrow = ({ tokens }: T): boolean => tokens.length <= PREFILL_NARROW;
  const runs: T[][] = [];
  for (const alike of [blocks.filter((block) => !isNarrow(block)), blocks.filter(isNarrow)]) {
    const width = Math.max(...alike.map(({ tokens }) => tokens.length));
    let run: T[] = [];
    for (const block of [...alike].sort((a, b) => b.end - a.end)) {
      const end = run[0]?.end ?? block.end;
      const padded = (run.length + 1) * end;
      const isFull = padded > PREFILL_POSITIONS || padded * width * heads > PREFILL_SCORES;
      const isMuchEarlier = end > PREFILL_EARLY && 2 * block.end < end;
      if (run.length === 0 || isFull || isMuchEarlier) runs.push((run = [block]));
      else run.push(block);
    }
  }
  return runs;
}
