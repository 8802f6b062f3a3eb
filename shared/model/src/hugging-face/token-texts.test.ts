import { createTokenizer } from './tokenizer';
import { tokenTexts } from './token-texts';

const BYTES = [...Buffer.from('é€')];

/** Words that begin with a space, but for the first of a text; 100 and more are bytes. */
const tokenizer = {
  decode: (ids: readonly number[]) => {
    const bytes = ids.flatMap((id) => (id >= 100 ? [id] : [...Buffer.from(` w${id}`)]));
    return Buffer.from(bytes).toString('utf8').replace(/^ /, '');
  },
};
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('tokenTexts', () => {
  it('keeps the space a word begins with, but at the start of the text', () => {
    expect(tokenTexts(tokenizer, [1, 2, 3], [0, 1, 2])).toEqual(['w1', ' w2', ' w3']);
    expect(tokenTexts(tokenizer, [1, 2, 3, 4], [2])).toEqual([' w3']);
  });

  it('gives a character of several tokens to the last of them', () => {
    const ids = [1, ...BYTES, 2];
    expect(tokenTexts(tokenizer, ids, range(0, ids.length))).toEqual(['w1', '', 'é', '', '', '€', ' w2']);
  });

  it('shows bytes that never become a character', () => {
    const ids = [1, 0xe2, 2];
    expect(tokenTexts(tokenizer, ids, [0, 1]).join('|')).toBe('w1|�');
    expect(tokenTexts(tokenizer, ids, [0, 1, 2]).join('')).toBe('w1� w2');
  });

  it('starts anew behind tokens that are left out', () => {
    expect(tokenTexts(tokenizer, [1, 0xe2, 2, 3], [0, 1, 3])).toEqual(['w1', '�', ' w3']);
  });
});

describe('the text of byte-fallback tokens', () => {
  const vocab = Object.fromEntries([
    ['</s>', 0],
    ...Array.from({ length: 256 }, (_, byte) => [
      `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
      byte + 1,
    ]),
    ['a', 257],
  ]) as Record<string, number>;
  const json = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: { type: 'BPE', byte_fallback: true, unk_token: null, vocab, merges: [] },
  };
  const files = Object.entries({ 'tokenizer.json': json, 'config.json': { eos_token_id: 0 } });
  const fallback = createTokenizer(
    new Map(files.map(([name, content]) => [name, Buffer.from(JSON.stringify(content))])),
    'm',
    { embeddingRows: 258 },
  );
  const bytes = (text: string): number[] => [...Buffer.from(text)].map((byte) => byte + 1);

  it('is one U+FFFD for each byte of a run that is not UTF-8', () => {
    expect(fallback.decode(bytes('é€'))).toBe('é€');
    expect(fallback.decode([...bytes('é€').slice(0, -1), 257])).toBe('����a');
    expect(fallback.decode([...bytes('é'), 257, bytes('€')[0]!])).toBe('éa�');
  });

  it('keeps characters that are whole while it grows', () => {
    const ids = [...bytes('é€'), 257];
    const grown = ids.map((_, t) => fallback.decode(ids.slice(0, t + 1), { isGrowing: true }));
    expect(grown).toEqual(['�', 'é', 'é�', 'é�', 'é€', 'é€a']);
  });

  it('is told token by token, in the middle of a long run, too', () => {
    const ids = [257, ...bytes('日本語日本語'), 257];
    const texts = tokenTexts(fallback, ids, range(0, ids.length));
    expect(texts.join('')).toBe('a日本語日本語a');
    expect(texts.slice(0, 5)).toEqual(['a', '', '', '日', '']);
    expect(tokenTexts(fallback, ids, range(10, 16))).toEqual(['', '', '日', '', '', '本']);
  });
});
