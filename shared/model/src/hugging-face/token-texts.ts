import type { Tokenizer } from './tokenizer';

/** Tokens before one that decide how it is shown, such as whether a word begins with a space. */
const CONTEXT = 4;
/** A character has at most so many bytes, each of which may be a token of its own. */
const MOST_PIECES = 4;
const INCOMPLETE = '�';

/**
 * The text that each token at `positions` (ascending) adds, special tokens included. A character made of several
 * tokens is the text of the last of them, the others have none.
 *
 * Shapes: tokenIds [T], the result as positions.
 */
export function tokenTexts(
  tokenizer: Pick<Tokenizer, 'decode'>,
  tokenIds: readonly number[],
  positions: readonly number[],
): string[] {
  const decode = (from: number, to: number): string =>
    tokenizer.decode(tokenIds.slice(Math.max(0, from), to), { skipSpecialTokens: false, isGrowing: true });
  /** The first token whose text is not told yet. */
  let untold = 0;
  return positions.map((at, i) => {
    if (i === 0 || positions[i - 1] !== at - 1) untold = at;
    const before = decode(untold - CONTEXT, untold);
    const text = decode(untold - CONTEXT, at + 1).slice(before.length);
    const isPart = text.endsWith(INCOMPLETE) && at - untold + 1 < MOST_PIECES && positions[i + 1] === at + 1;
    if (isPart) return '';
    untold = at + 1;
    return text;
  });
}
