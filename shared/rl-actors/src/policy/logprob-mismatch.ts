import type { Episode } from '@forge/contracts';

/** The version that produced every token the policy chose; null when there were several. */
export function soleVersion({ versions }: Pick<Episode, 'versions'>): number | null {
  const distinct = new Set(versions.filter((version) => version >= 0));
  const [version] = distinct;
  return distinct.size === 1 ? version! : null;
}

/** Largest |scored - recorded| log-prob over the tokens the policy chose. Shapes: all [T]. */
export function logprobMismatch(
  { mask, logprobs }: Pick<Episode, 'mask' | 'logprobs'>,
  scored: readonly number[],
): number {
  const differences = mask.map((chosen, t) => (chosen === 1 ? Math.abs(scored[t]! - logprobs[t]!) : 0));
  return Math.max(...differences);
}
