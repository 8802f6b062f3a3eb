import type { AddedToken } from './added-tokens';

/** A stretch of text, and the added token that it is, if any. */
export interface Piece {
  readonly text: string;
  readonly token: AddedToken | undefined;
}

/** The characters of words and of spaces as the Rust library's regular expressions have them. */
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE = /\p{White_Space}/u;

/** Finds added tokens in a text, each by what it reads in there. */
export class AddedTokenPieces {
  private readonly tokens: ReadonlyMap<string, AddedToken>;
  private readonly pattern: RegExp | undefined;

  constructor(tokens: Iterable<readonly [reads: string, token: AddedToken]>) {
    this.tokens = new Map(tokens);
    // Alternatives are tried in order, so the longest token that fits comes first.
    const longestFirst = [...this.tokens.keys()]
      .filter((reads) => reads !== '')
      .sort((a, b) => b.length - a.length);
    this.pattern =
      longestFirst.length === 0
        ? undefined
        : new RegExp(longestFirst.map((reads) => escaped(reads)).join('|'), 'gu');
  }

  /** `text` in pieces, of which none is empty. */
  of(text: string): Piece[] {
    const pieces: Piece[] = [];
    let from = 0;
    const push = (to: number, token: AddedToken | undefined): void => {
      if (to > from) pieces.push({ text: text.slice(from, to), token });
      from = Math.max(from, to);
    };
    for (const match of this.pattern === undefined ? [] : text.matchAll(this.pattern)) {
      const token = this.tokens.get(match[0])!;
      const [start, end] = [match.index, match.index + match[0].length];
      if (token.single_word && isInWord(text, start, end)) continue;
      push(token.lstrip ? startOfSpaces(text, start) : start, undefined);
      // A token that begins with spaces may have lost some of them to the one before.
      const stop = token.rstrip ? endOfSpaces(text, end) : end;
      if (stop <= from) pieces.push({ text: '', token });
      push(stop, token);
    }
    push(text.length, undefined);
    return pieces;
  }
}

function isInWord(text: string, start: number, end: number): boolean {
  const before = [...text.slice(Math.max(0, start - 2), start)].at(-1) ?? '';
  return WORD.test(before) || WORD.test(String.fromCodePoint(text.codePointAt(end) ?? 0));
}

function startOfSpaces(text: string, end: number): number {
  let start = end;
  while (start > 0 && SPACE.test(text[start - 1]!)) start -= 1;
  return start;
}

function endOfSpaces(text: string, start: number): number {
  let end = start;
  while (end < text.length && SPACE.test(text[end]!)) end += 1;
  return end;
}

function escaped(reads: string): string {
  return reads.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');
}
