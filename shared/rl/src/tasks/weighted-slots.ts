/** The item an index falls to, and how many times that item came before. */
export interface Slot {
  item: number;
  turn: number;
}

/**
 * An endless interleaving in which item i comes `weights[i]` times per cycle, spread as evenly as it goes: each slot goes
 * to the item that is furthest behind its share.
 *
 * @param weights whole numbers >= 1
 */
export function weightedSlots(weights: readonly number[]): (index: number) => Slot {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const turns = weights.map(() => 0);
  const cycle = Array.from({ length: total }, (_, position): Slot => {
    const behind = weights.map((weight, i) => weight * (position + 1) - turns[i]! * total);
    const item = behind.indexOf(Math.max(...behind));
    return { item, turn: turns[item]!++ };
  });
  return (index) => {
    const { item, turn } = cycle[index % total]!;
    return { item, turn: Math.floor(index / total) * weights[item]! + turn };
  };
}
