import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { createTokenizer } from './tokenizer';

/** Texts and ids that Python's `tokenizers` 0.23.3 gives for random texts and ids, with and without special tokens. */
type Fixture = Record<
  string,
  {
    tokenizer: {
      vocabulary: 'bytes' | 'pieces';
      merges?: [string, string][];
      ignoreMerges?: boolean;
      added_tokens: [id: number, content: string, ...flags: string[]][];
      normalizer: object | null;
      pre_tokenizer: object | null;
      decoder: object;
    };
    encoded: [text: string, ids: number[]][];
    decoded: [ids: number[], withSpecial: string, without: string][];
  }
>;

const fixture = JSON.parse(
  readFileSync(path.join(__dirname, 'rust-tokenizers.fixture.json'), 'utf8'),
) as Fixture;

/** The characters of byte-level vocabularies in the order of their code points. */
function byteCharacters(): string[] {
  const isShown = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  const all = Array.from({ length: 256 }, (_, b) => String.fromCodePoint(isShown(b) ? b : next++));
  return all.sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
}

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');
const pieces = [
  ...['<unk>', '<s>', '</s>'],
  ...Array.from({ length: 256 }, (_, byte) => `<0x${hex(byte)}>`),
  ...'▁abcé€',
  ...['▁a', 'ab', '▁▁'],
];
const PIECE_MERGES = [
  ['▁', 'a'],
  ['a', 'b'],
  ['▁', '▁'],
];

function tokenizerJson({ vocabulary, merges = [], ignoreMerges, ...rest }: Fixture[string]['tokenizer']) {
  const isBytes = vocabulary === 'bytes';
  const tokens = isBytes ? [...byteCharacters(), ...merges.map((pair) => pair.join(''))] : pieces;
  return {
    version: '1.0',
    post_processor: null,
    ...rest,
    added_tokens: rest.added_tokens.map(([id, content, ...flags]) => ({
      id,
      content,
      ...Object.fromEntries(
        ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'].map((flag) => [
          flag,
          flags.includes(flag),
        ]),
      ),
    })),
    model: {
      type: 'BPE',
      unk_token: isBytes ? null : '<unk>',
      fuse_unk: !isBytes,
      byte_fallback: !isBytes,
      ignore_merges: ignoreMerges === true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: isBytes ? merges : PIECE_MERGES,
    },
  };
}

const open = (name: string) => {
  const { tokenizer, ...cases } = fixture[name]!;
  const json = tokenizerJson(tokenizer);
  const files = Object.entries({ 'tokenizer.json': json, 'config.json': { eos_token_id: 1 } });
  const bytes = new Map(files.map(([file, content]) => [file, Buffer.from(JSON.stringify(content))]));
  return { ...cases, json, tokenizer: createTokenizer(bytes, 'm', { embeddingRows: 300 }) };
};

describe.each(Object.keys(fixture))('texts and tokens of %s are those of the Rust library', (name) => {
  it('for any text', () => {
    const { tokenizer, encoded } = open(name);
    expect(encoded.length).toBeGreaterThan(50);
    const ids = encoded.map(([text]) => [text, tokenizer.encode(text, { addSpecialTokens: false })]);
    expect(ids).toEqual(encoded);
  });

  it('for any ids', () => {
    const { tokenizer, decoded } = open(name);
    expect(decoded.length).toBeGreaterThan(50);
    const texts = decoded.map(([ids]) => [
      ids,
      tokenizer.decode(ids, { skipSpecialTokens: false }),
      tokenizer.decode(ids),
    ]);
    expect(texts).toEqual(decoded);
  });
});

/** Each of these fails once the library does as the Rust library does: then what stands beside it can go. */
describe('the library alone still differs', () => {
  const wrong = (name: string) => {
    const { json, encoded, decoded } = open(name);
    const library = new Library(json, {});
    return {
      texts: encoded.filter(([text, ids]) => String(library.encode(text).ids) !== String(ids)).length,
      ids: decoded.filter(
        ([ids, text]) => library.decode(ids, { clean_up_tokenization_spaces: false }) !== text,
      ).length,
    };
  };

  it('in the added tokens a text holds (added-token-pieces.ts)', () => {
    expect(wrong('flags').texts).toBeGreaterThan(0);
  });

  it('in the text of byte-fallback tokens (decodeByteFallback)', () => {
    expect(wrong('llama').ids).toBeGreaterThan(0);
  });

  it('in the text of byte-level tokens beside added ones (decodeByteLevel)', () => {
    expect(wrong('odd').ids).toBeGreaterThan(0);
  });
});
