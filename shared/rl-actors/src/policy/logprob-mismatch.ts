import type { Episode } from '@forge/contracts';

/** The version that produced every token the policy chose; null when there were several. */
export function soleVersion({ versions }: Pick<Episode, 'versions'>): number | null {
  const distinct = new Set<number>(versions.filter((version) => version >= 0));
  const [version] = distinct;
  return distinct.size === 1 ? version! : null;
}

/** Largest |scored - recorded| log-prob over the tokens the policy chose. Shapes: all [T]. */
export function logprobMismatch(
  { mask, logprobs }: Pick<Episode, 'mask' | 'logprobs'>,
  scored: readonly number[],
): number {
  let largest = 0;
  for (const [t, chosen] of mask.entries())
    if (chosen === 1) largest = Math.max(largest, Math.abs(scored[t]! - logprobs[t]!));
  return largest;
}
