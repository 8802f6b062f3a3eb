/** Mean over a window around each value, shorter at the ends; what is missing (NaN) counts for nothing. */
export function smooth(values: readonly number[], window: number): number[] {
  const half = Math.floor(window / 2);
  const sums = [0];
  const counts = [0];
  for (const [k, value] of values.entries()) {
    const isThere = Number.isFinite(value);
    sums.push(sums[k]! + (isThere ? value : 0));
    counts.push(counts[k]! + (isThere ? 1 : 0));
  }
  return values.map((_, k) => {
    const from = Math.max(0, k - half);
    const to = Math.min(values.length, k + half + 1);
    const mean = (sums[to]! - sums[from]!) / (counts[to]! - counts[from]!);
    // The mean of equal values is that value, whatever was added up before them.
    return Number(mean.toPrecision(9));
  });
}

/** The window that lets a trend of so many values be seen; 1: none. */
export const windowFor = (count: number): number => (count < 40 ? 1 : 2 * Math.floor(count / 50) + 1);
