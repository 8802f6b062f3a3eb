/** Padded tokens of one prefill run at most, unless one sequence alone has more. */
const PREFILL_TOKENS = 8_192;
/** Attention scores of one layer in one prefill run at most, unless one sequence alone has more. */
const PREFILL_SCORES = 16 * 2 ** 20;
/** Sequences up to this length share a run whatever their lengths: padding them costs less than another run. */
const PREFILL_NARROW = 32;

/** The sequences cut into runs of similar length that each stay within the memory bounds; none may be empty. */
export function prefillRuns<T extends { readonly tokens: readonly number[] }>(
  sequences: readonly T[],
  heads: number,
): T[][] {
  const runs: T[][] = [];
  let width = 0;
  for (const sequence of [...sequences].sort((a, b) => b.tokens.length - a.tokens.length)) {
    const { length } = sequence.tokens;
    const run = runs.at(-1) ?? [];
    const padded = (run.length + 1) * width;
    const isFull = padded > PREFILL_TOKENS || padded * width * heads > PREFILL_SCORES;
    const isMuchShorter = width > PREFILL_NARROW && 2 * length < width;
    if (run.length > 0 && !isFull && !isMuchShorter) {
      run.push(sequence);
      continue;
    }
    runs.push([sequence]);
    width = length;
  }
  return runs;
}
