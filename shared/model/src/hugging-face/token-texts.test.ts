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
