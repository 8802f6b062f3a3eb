/** Probabilities down to which a token is as likely as that. */
const BOUNDS = [0.9, 0.5, 0.2, 0.05, 0.01];

/** How unlikely a token was: 0 (certain, nearly) to 5. */
export function levelOf(logprob: number): number {
  const level = BOUNDS.findIndex((bound) => logprob >= Math.log(bound));
  return level === -1 ? BOUNDS.length : level;
}
