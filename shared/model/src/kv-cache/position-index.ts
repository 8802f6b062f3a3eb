import type { HostTensor } from '@forge/engine';

/** Positions of a row of one of the sources, from its first on. */
export interface Stretch {
  source: number;
  row: number;
  length: number;
}

/**
 * Where each position of a batch of caches lies among the positions of its sources, end to end. Behind the stretches of a row
 * its first position is repeated: nobody reads it, but a number that is not finite in another row would spoil this one.
 *
 * Shapes: sources [R, kvHeads, T, headDim] each, rows [C] -> int64 [C, kvHeads, positions].
 */
export function positionIndex(
  sources: readonly (readonly number[])[],
  rows: readonly (readonly Stretch[])[],
  positions: number,
): HostTensor {
  const heads = sources[0]![1]!;
  const begins = [0];
  for (const [count, , width] of sources) begins.push(begins.at(-1)! + count! * heads * width!);
  const firstOf = ({ source, row }: Stretch, head: number): number =>
    begins[source]! + (row * heads + head) * sources[source]![2]!;
  const data = new BigInt64Array(rows.length * heads * positions);
  // Low halves alone: making BigInts would take longer than the rest.
  const low = new Int32Array(data.buffer);
  rows.forEach((stretches, row) => {
    for (let head = 0; head < heads; head++) {
      const start = (row * heads + head) * positions;
      let at = start;
      for (const stretch of stretches) {
        const first = firstOf(stretch, head);
        for (let i = 0; i < stretch.length; i++) low[2 * at++] = first + i;
      }
      const first = firstOf(stretches[0]!, head);
      while (at < start + positions) low[2 * at++] = first;
    }
  });
  return { dtype: 'int64', shape: [rows.length, heads, positions], data };
}
