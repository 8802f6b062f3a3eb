import type { TokensGiven } from './generating-server';
import { nonFinite, type ServerConnection } from './server-connection';

/** Log-probs above 0 by less are rounding. */
const ROUNDING = 1e-3;

export interface DrawnRules extends Pick<TokensGiven, 'isInterrupted' | 'isEnded'> {
  maxTokens: number;
  wayOut: string;
}

/**
 * Tokens of an answer with their log-probs, checked.
 *
 * @throws {ForgeError} CONTRACT_GENERATOR_UNREADABLE where there are none, not as many of both, or more than were asked for;
 *   NUMERIC_NON_FINITE.
 */
export function drawnTokens(
  connection: ServerConnection,
  path: string,
  { isInterrupted, isEnded, maxTokens, wayOut }: DrawnRules,
  { tokenIds, logprobs }: { tokenIds: number[] | undefined; logprobs: (number | null)[] | undefined },
): TokensGiven {
  const fault = (found: string) => connection.unreadable(path, found, wayOut);
  if (tokenIds === undefined) throw fault('text without the ids of its tokens');
  if (logprobs === undefined) throw fault('tokens without log-probs');
  if (logprobs.length !== tokenIds.length)
    throw fault(`${tokenIds.length} tokens with ${logprobs.length} log-probs`);
  if (tokenIds.length > maxTokens) throw fault(`${tokenIds.length} tokens, asked for at most ${maxTokens}`);
  if (tokenIds.length === 0 && !isInterrupted && !isEnded) throw fault('no token');
  const known = logprobs.map((logprob) => {
    if (logprob === null || !Number.isFinite(logprob) || logprob > ROUNDING)
      throw nonFinite(connection.address);
    return Math.min(0, logprob);
  });
  return { tokenIds, logprobs: known, isInterrupted, isEnded };
}
