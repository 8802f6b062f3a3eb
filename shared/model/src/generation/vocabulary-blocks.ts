/** A vocabulary cut into `count` blocks of `width` entries; the last may be longer than the vocabulary. */
export interface Blocks {
  count: number;
  width: number;
}

/** Vocabularies up to this size are one block. */
const SMALL = 1024;
/** Blocks longer than this many times their ideal length cost more than entries added to fill the last one. */
const LONGEST = 8;

/**
 * Blocks about as many as they are long, so that running sums over both are short. Of a size with divisors near its square root they
 * take exactly the entries there are.
 */
export function blocksOf(size: number): Blocks {
  if (size <= SMALL) return { count: 1, width: size };
  const ideal = Math.round(Math.sqrt(size));
  for (let shorter = ideal; shorter * LONGEST >= ideal; shorter--)
    if (size % shorter === 0) return { count: shorter, width: size / shorter };
  return { count: Math.ceil(size / ideal), width: ideal };
}
