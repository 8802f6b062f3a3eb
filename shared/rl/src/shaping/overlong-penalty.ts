export interface OverlongPenalty {
  /** Longest completion; those of more than `maxTokens - buffer` tokens are punished. Left out: none is. */
  maxTokens?: number | undefined;
  /** Left out: a fifth of `maxTokens`, as in the paper (4096 of 20480). */
  buffer?: number | undefined;
  /** Loss of an answer of `maxTokens`. */
  factor?: number | undefined;
  /** 'factor': no more than that is lost, as in the paper and OpenRLHF; 'none': it goes on falling, as in AReaL and verl. */
  cap?: 'factor' | 'none' | undefined;
}

/**
 * Addition to an answer's reward for its length: 0 up to the buffer, and from there on less by `factor / buffer` per token.
 *
 * @see Yu et al., "DAPO" (2025), equation 13
 */
export function overlongPenalty(tokens: number, options: OverlongPenalty): number {
  const { maxTokens, factor = 1, cap = 'factor' } = options;
  if (maxTokens === undefined) return 0;
  const { buffer = Math.ceil(maxTokens / 5) } = options;
  const share = Math.max(0, (tokens - (maxTokens - buffer)) / buffer);
  if (share === 0 || factor === 0) return 0;
  return -factor * (cap === 'factor' ? Math.min(share, 1) : share);
}
