import fc from 'fast-check';
import { decodeByteFallback } from '../hugging-face/byte-decoders';
import { StopStrings, type TextRules } from './stop-strings';

const BYTES = new TextEncoder();
const [TURN, END, PAD] = [300, 301, 302] as const;
const specialTokens = new Map<number, string>([
  [TURN, '<|turn|>'],
  [END, '<|done|>'],
  [PAD, ''],
]);

/** A token is a byte, or special. */
const decodeText: TextRules['decodeText'] = (tokenIds, { skipSpecialTokens = true } = {}) =>
  Buffer.concat(
    tokenIds.map((id) =>
      id < 256 ? Uint8Array.of(id) : BYTES.encode(skipSpecialTokens ? '' : specialTokens.get(id)),
    ),
  ).toString();

const tokens = (...parts: (string | number)[]): number[] =>
  parts.flatMap((part) => (typeof part === 'number' ? [part] : [...BYTES.encode(part)]));

/** The first thing found in `tokenIds`, given in chunks of `size`. */
function search(
  stop: readonly string[],
  tokenIds: readonly number[],
  size: number,
  rules: TextRules = { decodeText, specialTokens },
) {
  const strings = new StopStrings(stop, rules);
  for (let end = size; end < tokenIds.length + size; end += size) {
    const stopped = strings.find(tokenIds.slice(0, end));
    if (stopped !== null) return stopped;
  }
  return null;
}

describe('StopStrings', () => {
  it.each<[string, string[], number[], string, number]>([
    ['a special token', ['<|turn|>'], tokens('héllo', TURN, 'more'), 'héllo', 7],
    [
      'a special token and text behind it',
      ['<|turn|>user'],
      tokens('ok', TURN, 'tool', TURN, 'user', 'x'),
      'oktool',
      12,
    ],
    ['text and a special token behind it', ['\n<|done|>'], tokens('a', END, 'b\n', END, '!'), 'ab', 5],
    ['two special tokens in a row', ['<|done|><|turn|>'], tokens('a', END, 'b', END, TURN, 'c'), 'ab', 5],
    [
      'text, where special tokens before it are no part of the text',
      ['zz'],
      tokens('a', TURN, 'bzz', END),
      'ab',
      5,
    ],
    ['text around a special token that no stop string names', ['ab'], tokens('xa', TURN, 'by'), 'x', 4],
    ['a character of several tokens', ['é'], tokens('aé', 'b'), 'a', 3],
    ['the first of several to be whole', ['bcd', 'c', '<|turn|>'], tokens('abcd', TURN), 'ab', 3],
    ['the longer of two that are whole at once', ['c', 'bc'], tokens('abcd'), 'a', 3],
    ['a special token at the very start', ['<|turn|>'], tokens(TURN, 'a'), '', 1],
    ['the text of a special token, spelled out', ['<|turn|>'], tokens('a<|turn|>b'), 'a', 9],
  ])('ends at %s, however the tokens come in', (_, stop, tokenIds, text, count) => {
    for (let size = 1; size <= tokenIds.length; size++)
      expect({ size, ...search(stop, tokenIds, size) }).toEqual({ size, text, tokens: count });
  });

  it.each<[string, string[], number[]]>([
    ['a part of the text of a special token', ['turn', '|', '>a'], tokens('x', TURN, 'a')],
    ['the same beside a string that names the token', ['<|turn|>user', 'turn'], tokens('x', TURN, 'a')],
    ['a special token of another name', ['<|turn|>'], tokens('x', END, 'y')],
    ['text where another special token stands between', ['a<|turn|>b'], tokens('a', TURN, 'xb')],
    ['nothing', [], tokens('abc', TURN)],
  ])('goes on at %s', (_, stop, tokenIds) => {
    for (let size = 1; size <= tokenIds.length; size++) expect(search(stop, tokenIds, size)).toBeNull();
  });

  it('finds what a search of the whole text after every token finds', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', 'é', '€', '😀', TURN, END, PAD);
    const stopString = fc
      .array(fc.constantFrom('a', 'b', 'é', '😀', '<|turn|>'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 60 }),
        stopString,
        fc.integer({ min: 1, max: 20 }),
        (parts, stop, size) => {
          const tokenIds = tokens(...parts);
          const shown = (ids: readonly number[]): string =>
            stop.includes('<|turn|>')
              ? decodeText(
                  ids.filter((id) => id < 256 || id === TURN),
                  { skipSpecialTokens: false },
                )
              : decodeText(ids);
          const count = tokenIds.findIndex((_, t) => shown(tokenIds.slice(0, t + 1)).includes(stop)) + 1;
          const whole = shown(tokenIds.slice(0, count));
          const expected =
            count === 0
              ? null
              : { text: whole.slice(0, whole.indexOf(stop)).replaceAll('<|turn|>', ''), tokens: count };
          expect(search([stop], tokenIds, size)).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('finds them among bytes of which some are no text, however the tokens come in', () => {
    const byteFallback: TextRules['decodeText'] = (tokenIds, { isGrowing = false } = {}) =>
      decodeByteFallback(
        tokenIds.map((id) => `<0x${id.toString(16).padStart(2, '0')}>`),
        isGrowing,
      ).join('');
    const rules = { decodeText: byteFallback, specialTokens: new Map<number, string>() };
    const tokenIds = tokens('日本語'.repeat(9), '終わり', 0xe2, 'x');
    expect(byteFallback(tokenIds)).not.toContain('終');
    for (let size = 1; size <= tokenIds.length; size++) {
      const expected = { size, text: '日本語'.repeat(9), tokens: 90 };
      expect({ size, ...search(['終わり'], tokenIds, size, rules) }).toEqual(expected);
    }
  });

  it('reads each token a few times only, however long the completion', () => {
    let read = 0;
    const counting: TextRules = {
      specialTokens,
      decodeText: (ids, options) => {
        read += ids.length;
        return decodeText(ids, options);
      },
    };
    const tokenIds = tokens('abcdefgh'.repeat(1000));
    expect(search(['<|turn|>', 'zzzz'], tokenIds, 16, counting)).toBeNull();
    expect(read).toBeLessThan(10 * tokenIds.length);
  });

  it.each<[string, string[], number[], string]>([
    ['the start of a stop string', ['END'], tokens('one EN'), 'one '],
    ['a part of a character', [], tokens('aé').slice(0, -1), 'a'],
    ['the start of one behind a part of a character', ['b😀'], tokens('ab😀').slice(0, -2), 'a'],
    ['a special token that a stop string goes on behind', ['<|turn|>bc'], tokens('a', TURN, 'b'), 'a'],
    ['text before a special token', ['b<|turn|>'], tokens('ab'), 'a'],
    ['nothing, once it goes on otherwise', ['END'], tokens('one ENemy', END), 'one ENemy'],
  ])('holds back %s', (_, stop, tokenIds, settled) => {
    expect(new StopStrings(stop, { decodeText, specialTokens }).settled(tokenIds)).toBe(settled);
  });

  it('settles what the whole completion begins with, and never less than before', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', 'é', '€', '😀', TURN, END, PAD);
    const stopString = fc
      .array(fc.constantFrom('a', 'b', 'é', '😀', '<|turn|>'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }),
        fc.array(stopString, { maxLength: 3 }),
        (parts, stop) => {
          const tokenIds = tokens(...parts);
          const whole = search(stop, tokenIds, 1)?.text ?? decodeText(tokenIds);
          const strings = new StopStrings(stop, { decodeText, specialTokens });
          let before = '';
          for (let end = 1; end <= tokenIds.length; end++) {
            if (search(stop, tokenIds.slice(0, end), 1) !== null) break;
            const settled = strings.settled(tokenIds.slice(0, end));
            expect(whole.startsWith(settled)).toBe(true);
            expect(settled.startsWith(before)).toBe(true);
            before = settled;
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
