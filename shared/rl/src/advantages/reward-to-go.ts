import type { Episode, Worth } from '@forge/contracts';

/**
 * Return at each chosen token of an episode: the reward at its last one, and what every token still brings.
 *
 * Shapes: perToken [T], by the episode's positions -> [T], 0 where the mask is 0.
 */
export function rewardToGo(
  reward: number,
  { mask }: Pick<Episode, 'mask'>,
  perToken: ArrayLike<number>,
): Worth {
  const returns = Array.from(mask, () => 0);
  let toCome = reward;
  for (let t = mask.length - 1; t >= 0; t--) {
    if (mask[t] !== 1) continue;
    toCome += perToken[t]!;
    returns[t] = toCome;
  }
  return returns;
}
