import type { TrainEpisode } from './micro-batches';

/**
 * The given episodes by what goes through the model: those of the same tokens, of which the same are trained, are one.
 * Groups of a policy that is sure of itself have many such. An episode with tokens of the reference stays alone.
 *
 * Shapes: indices [E] -> [D][episodes alike], in the order of the first of each.
 */
export function alikeEpisodes(episodes: readonly TrainEpisode[], indices: readonly number[]): number[][] {
  const all: number[][] = [];
  const byHash = new Map<number, number[][]>();
  for (const index of indices) {
    const episode = episodes[index]!;
    const hash = hashOf(episode);
    const near = byHash.get(hash) ?? [];
    const found = near.find(([first]) => isAlike(episodes[first!]!, episode));
    if (found !== undefined) {
      found.push(index);
      continue;
    }
    const alone = [index];
    all.push(alone);
    byHash.set(hash, [...near, alone]);
  }
  return all;
}

function isAlike(a: TrainEpisode, b: TrainEpisode): boolean {
  if (a.referenceTop !== undefined || b.referenceTop !== undefined) return false;
  return isSame(a.tokenIds, b.tokenIds) && isSame(a.mask, b.mask);
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let t = 0; t < a.length; t++) if (a[t] !== b[t]) return false;
  return true;
}

function hashOf({ tokenIds }: TrainEpisode): number {
  let hash = tokenIds.length;
  for (let t = 0; t < tokenIds.length; t++) hash = Math.imul(hash ^ tokenIds[t]!, 0x9e3779b1);
  return hash;
}
