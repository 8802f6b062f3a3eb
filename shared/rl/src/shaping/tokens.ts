import type { Episode } from '@forge/contracts';

/** The tokens of an episode that the policy chose. */
export function chosenTokens({ mask }: Pick<Episode, 'mask'>): number {
  return mask.reduce((sum, chosen) => sum + chosen, 0);
}
