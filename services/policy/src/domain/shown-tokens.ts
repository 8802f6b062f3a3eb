import { SHOWN_COMPLETIONS, SHOWN_TOKENS, type Episode, type ShownTokens } from '@forge/contracts';

/** The text that each of the tokens at `positions` adds. */
export type TokenTexts = (
  tokenIds: readonly number[],
  positions: readonly number[],
) => Promise<readonly string[]>;

/** The first tokens that the policy chose in the first episodes, for people: so many that they stay small. */
export async function shownTokens(
  episodes: readonly Episode[],
  tokenTexts: TokenTexts,
): Promise<ShownTokens[]> {
  const shown: Promise<ShownTokens>[] = [];
  let left = SHOWN_TOKENS.perRollout;
  for (const episode of episodes.slice(0, SHOWN_COMPLETIONS)) {
    const positions = firstChosen(episode.mask, Math.min(left, SHOWN_TOKENS.perCompletion));
    left -= positions.length;
    if (positions.length > 0) shown.push(tokensAt(episode, positions, tokenTexts));
  }
  return Promise.all(shown);
}

/** Where the policy chose a token, the first `limit` places. */
function firstChosen(mask: Uint8Array, limit: number): number[] {
  const positions: number[] = [];
  for (let t = 0; t < mask.length && positions.length < limit; t++) if (mask[t] === 1) positions.push(t);
  return positions;
}

async function tokensAt(
  { tokenIds, logprobs, versions }: Episode,
  positions: readonly number[],
  tokenTexts: TokenTexts,
): Promise<ShownTokens> {
  const texts = await tokenTexts([...tokenIds.subarray(0, positions.at(-1)! + 1)], positions);
  return {
    texts: [...texts],
    logprobs: positions.map((t) => Math.round(logprobs[t]! * 1e4) / 1e4),
    versions: positions.map((t) => versions[t]!),
  };
}
