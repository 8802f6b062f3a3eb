/** The text of generated tokens. */
export interface TextRules {
  /**
   * Text of tokens; special tokens are left out unless `skipSpecialTokens` is false. With `isGrowing` what is text stays
   * text, whatever follows.
   */
  decodeText: (
    tokenIds: readonly number[],
    options?: { skipSpecialTokens?: boolean; isGrowing?: boolean },
  ) => string;
  /** Text of each special token by its id. */
  specialTokens: ReadonlyMap<number, string>;
}

/** The part of a completion that a stop string leaves. */
export interface Stopped {
  /** Up to the stop string, special tokens left out. */
  text: string;
  /** Tokens until the stop string is whole. */
  tokens: number;
}

/**
 * Looks for stop strings in the text of a completion while it grows. A special token counts as its text for the stop
 * strings that hold this text as a whole, and as nothing for all others.
 */
export class StopStrings {
  private readonly searches: readonly StopSearch[];

  constructor(
    stop: readonly string[],
    private readonly rules: TextRules,
  ) {
    const shownFor = (string: string): number[] =>
      [...rules.specialTokens].filter(([, text]) => text !== '' && string.includes(text)).map(([id]) => id);
    const plain = stop.filter((string) => shownFor(string).length === 0);
    this.searches = [
      ...(plain.length === 0 ? [] : [new StopSearch(plain, [], rules)]),
      ...stop
        .filter((string) => !plain.includes(string))
        .map((string) => new StopSearch([string], shownFor(string), rules)),
    ];
  }

  /** The part of `tokenIds` that the first stop string leaves; null while none is there. Calls give the same tokens and more. */
  find(tokenIds: readonly number[]): Stopped | null {
    const found = this.searches.map((search) => search.find(tokenIds)).filter((stopped) => stopped !== null);
    const [first = null] = found.sort((a, b) => a.tokens - b.tokens || a.text.length - b.text.length);
    return first;
  }

  /**
   * The text of `tokenIds`, special tokens left out, that is the start of the completion's text whatever follows: up to what
   * may begin a stop string, or is a part of a character.
   */
  settled(tokenIds: readonly number[]): string {
    const plain = withoutPart(this.rules.decodeText(tokenIds, { isGrowing: true }));
    const texts = this.searches.map((search) => search.settled(tokenIds));
    return [plain, ...texts].reduce((shortest, text) => (text.length < shortest.length ? text : shortest));
  }
}

/** A growing text without the part of a character that it ends with. */
function withoutPart(text: string): string {
  return text.replace(/\ufffd+$/, '');
}

/** Characters at the start of a decoded stretch that may read otherwise than in the whole: a space, parts of a character. */
const MARGIN = 8;

/** The search for strings in the text of tokens in which only some special tokens are shown. */
class StopSearch {
  private readonly longest: number;
  private readonly shown: ReadonlySet<number>;
  /** Leading tokens whose text holds no stop string. */
  private searched = 0;

  constructor(
    private readonly stop: readonly string[],
    shown: readonly number[],
    private readonly rules: TextRules,
  ) {
    this.longest = Math.max(...stop.map(({ length }) => length));
    this.shown = new Set(shown);
  }

  /** Reads the new tokens only, and as many before them as a stop string may begin in. */
  find(tokenIds: readonly number[]): Stopped | null {
    const before = this.searched;
    this.searched = tokenIds.length;
    return this.begin(this.newText(tokenIds, before)) === null ? null : this.cut(tokenIds, before);
  }

  /** The text, special tokens left out, before what may begin one of the strings. */
  settled(tokenIds: readonly number[]): string {
    const text = withoutPart(this.textOf(tokenIds));
    const held = Math.max(...this.stop.map((string) => longestStart(string, text)));
    return this.withoutSpecial(text, text.length - held, tokenIds);
  }

  private newText(tokenIds: readonly number[], before: number): string {
    const wanted = this.longest + MARGIN;
    for (let context = wanted; ; context *= 2) {
      const start = Math.max(0, before - context);
      if (start === 0 || this.textOf(tokenIds.slice(start, before)).length >= wanted)
        return this.textOf(tokenIds.slice(start));
    }
  }

  private cut(tokenIds: readonly number[], before: number): Stopped | null {
    let [without, count] = [before, tokenIds.length];
    while (count - without > 1) {
      const middle = (without + count) >> 1;
      if (this.begin(this.textOf(tokenIds.slice(0, middle))) === null) without = middle;
      else count = middle;
    }
    const kept = tokenIds.slice(0, count);
    const text = this.textOf(kept);
    const at = this.begin(text);
    return at === null ? null : { text: this.withoutSpecial(text, at, kept), tokens: count };
  }

  /** The first `at` characters of `text`, which `kept` read as, without special tokens. */
  private withoutSpecial(text: string, at: number, kept: readonly number[]): string {
    if (!kept.some((id) => this.shown.has(id))) return text.slice(0, at);
    let [count, start] = [kept.length, text];
    while (start.length > at || !text.startsWith(start)) {
      count -= 1;
      start = this.textOf(kept.slice(0, count));
    }
    return this.rules.decodeText(kept.slice(0, count), { isGrowing: true }) + text.slice(start.length, at);
  }

  /** The place in `text` where the first stop string begins. */
  private begin(text: string): number | null {
    const found = this.stop.map((string) => text.indexOf(string)).filter((at) => at >= 0);
    return found.length === 0 ? null : Math.min(...found);
  }

  private textOf(tokenIds: readonly number[]): string {
    const { decodeText, specialTokens } = this.rules;
    if (this.shown.size === 0) return decodeText(tokenIds, { isGrowing: true });
    const isShown = (id: number): boolean => this.shown.has(id) || !specialTokens.has(id);
    return decodeText(tokenIds.filter(isShown), { skipSpecialTokens: false, isGrowing: true });
  }
}

/** The number of characters at the end of `text` that `string` begins with, not all of it. */
function longestStart(string: string, text: string): number {
  let length = Math.min(string.length - 1, text.length);
  while (length > 0 && !text.endsWith(string.slice(0, length))) length -= 1;
  return length;
}
