import type { ModelFiles } from './model-files';
import { createTokenizer } from './tokenizer';

/** One token for each letter from a to z and a space, 27 in all. */
const letters = Object.fromEntries([...'abcdefghijklmnopqrstuvwxyz '].map((letter, id) => [letter, id]));
const END = 27;
const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const base = {
  added_tokens: [{ id: END, content: '[end]', ...flags }],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: { type: 'BPE', vocab: letters, merges: [], unk_token: null },
};

/** Opens the given files beside a `tokenizer.json` of letters and `[end]`. */
function open(files: Record<string, object>, embeddingRows = 32) {
  const all = { 'tokenizer.json': base, 'config.json': { eos_token_id: END }, ...files };
  const bytes: ModelFiles = new Map(
    Object.entries(all).map(([name, json]) => [name, Buffer.from(JSON.stringify(json))]),
  );
  return createTokenizer(bytes, 'm', { embeddingRows });
}
const config = (json: object) => ({ 'tokenizer_config.json': json });
const decoder = (tokens: Record<number, object>) => config({ added_tokens_decoder: tokens });

/** The values are those of transformers 5.24 with tokenizers 0.23.3. */
describe('added tokens', () => {
  it.each<[string, Record<string, object>, string, number[]]>([
    ['added_tokens_decoder', decoder({ 28: { content: '[x]', ...flags } }), 'a[x]b', [0, 28, 1]],
    [
      'added_tokens_decoder, in the order of their ids',
      decoder({ 29: { content: '[y]', ...flags }, 28: { content: '[x]', ...flags } }),
      '[y][x]',
      [29, 28],
    ],
    ['added_tokens.json', { 'added_tokens.json': { '[x]': 28 } }, 'a[x]b', [0, 28, 1]],
    [
      'special_tokens_map.json',
      { 'special_tokens_map.json': { pad_token: '[x]', additional_special_tokens: ['[y]'] } },
      '[y]a[x]',
      [29, 0, 28],
    ],
    ['a role of tokenizer_config.json', config({ pad_token: { content: '[x]' } }), 'a[x]', [0, 28]],
    ['a role of its own', config({ image_token: '[x]' }), 'a[x]', [0, 28]],
    ['additional_special_tokens', config({ additional_special_tokens: ['[x]', '[y]'] }), '[y]', [29]],
    ['extra_special_tokens by name', config({ extra_special_tokens: { image_token: '[x]' } }), '[x]', [28]],
  ])('are those of %s', (_, files, text, ids) => {
    const tokenizer = open(files);
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text);
  });

  it('end a completion where only tokenizer_config.json declares them', () => {
    const files = {
      ...decoder({ 28: { content: '[stop]', ...flags } }),
      'config.json': { eos_token_id: 28 },
    };
    expect(open(files).endTokenIds).toEqual([28]);
  });

  it('leave nothing in a text without special tokens', () => {
    expect(open(decoder({ 28: { content: '[x]', ...flags } })).decode([0, 28, 1])).toBe('ab');
    expect(open({ 'added_tokens.json': { '[x]': 28 } }).decode([0, 28, 1])).toBe('a[x]b');
    const special = { ...config({ pad_token: '[x]' }), 'added_tokens.json': { '[x]': 28 } };
    expect(open(special).decode([0, 28, 1])).toBe('ab');
  });

  it('have the flags of tokenizer_config.json where tokenizer.json gives them others', () => {
    const tokens = [...base.added_tokens, { id: 28, content: '[x]', ...flags }];
    const tokenizer = { ...base, added_tokens: tokens };
    const stripping = decoder({ 28: { content: '[x]', ...flags, lstrip: true, rstrip: true } });
    expect(open({ 'tokenizer.json': tokenizer }).encode('a [x] b')).toEqual([0, 26, 28, 26, 1]);
    expect(open({ 'tokenizer.json': tokenizer, ...stripping }).encode('a [x] b')).toEqual([0, 28, 1]);
  });

  it('stay special once a file calls them so', () => {
    expect(open(decoder({ 27: { content: '[end]', ...flags, special: false } })).decode([0, 27])).toBe('a');
  });

  it('of special_tokens_map.json and added_tokens.json do not count beside added_tokens_decoder', () => {
    const beside = { 'special_tokens_map.json': { pad_token: 'ab' }, 'added_tokens.json': { cd: 28 } };
    expect(open({ ...decoder({}), ...beside }).encode('abcd')).toEqual([0, 1, 2, 3]);
    expect(open(beside).encode('abcd')).toEqual([29, 28]);
  });

  it('are plain text where special tokens are split', () => {
    const tokenizer = { ...base, model: { ...base.model, vocab: { ...letters, '[': 27, ']': 28 } } };
    const moved = { ...tokenizer, added_tokens: [{ id: 29, content: '[end]', ...flags }] };
    const files = { 'tokenizer.json': moved, ...config({ split_special_tokens: true }) };
    expect(open(files).encode('[end]')).toEqual([27, 4, 13, 3, 28]);
  });

  it.each<[string, Record<string, object>, string]>([
    [
      'another id than it gets',
      decoder({ 30: { content: '[x]', ...flags } }),
      'm/tokenizer_config.json: added_tokens_decoder.30: found 30, expected 28, the id transformers gives "[x]"',
    ],
    [
      'the id of another token',
      { 'tokenizer.json': { ...base, added_tokens: [{ id: 3, content: '[x]', ...flags }] } },
      'm/tokenizer.json: added_tokens.0.id: found 3, expected 27',
    ],
    [
      'no text',
      decoder({ 28: { lstrip: true } }),
      'm/tokenizer_config.json: added_tokens_decoder.28.content: found undefined, expected the text of a token',
    ],
    [
      'no number for an id',
      { 'added_tokens.json': { '[x]': '28' } },
      'm/added_tokens.json: [x]: found "28", expected a token id',
    ],
    [
      'no embedding',
      { 'special_tokens_map.json': { pad_token: '[x]' } },
      'm/special_tokens_map.json: pad_token: found "[x]", expected a token of the tokenizer',
    ],
  ])('are refused with %s', (_, files, message) => {
    expect(() => open(files, 28)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_TOKENIZER_INVALID',
        message: expect.stringContaining(message),
      }),
    );
  });
});

describe('a token that is a word of its own only', () => {
  const cat = { ...flags, special: false, single_word: true };
  const tokenizer = open(decoder({ 28: { content: 'cat', ...cat } }));

  it.each([
    ['cat', [28]],
    ['a cat', [0, 26, 28]],
    ['cats', [2, 0, 19, 18]],
    ['bobcat', [1, 14, 1, 2, 0, 19]],
    ['cat[end]cat', [28, END, 28]],
  ])('reads %s', (text, ids) => {
    expect(tokenizer.encode(text)).toEqual(ids);
  });
});
