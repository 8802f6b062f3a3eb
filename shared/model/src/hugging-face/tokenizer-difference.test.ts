import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModel, type LoadedModel } from './hugging-face';
import { tokenizerDifference } from './tokenizer-difference';

const folder = join(__dirname, '../../../../models/arithmetic');
const json = (name: string) =>
  JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>;
const { model: bpe, ...tokenizer } = json('tokenizer.json') as {
  model: { vocab: Record<string, number>; merges: unknown[] };
};

/** The arithmetic model with other tokens, merges or added tokens, as if it were in the folder `dir`. */
function modelOf(
  dir: string,
  { vocab = bpe.vocab, merges = [] as unknown[], added = [] as object[], rows = 32 } = {},
): LoadedModel {
  const before = (tokenizer as { added_tokens?: object[] }).added_tokens ?? [];
  const files = {
    'config.json': { ...json('config.json'), vocab_size: rows },
    'tokenizer_config.json': json('tokenizer_config.json'),
    'tokenizer.json': {
      ...tokenizer,
      added_tokens: [...before, ...added],
      model: { ...bpe, vocab, merges },
    },
  };
  return { ...createModel(files, 1), dir };
}

const own = modelOf('own');
const last = Math.max(...Object.values(bpe.vocab));

describe('tokenizerDifference', () => {
  it('finds none in the same tokenizer of a larger model', () => {
    expect(tokenizerDifference(own, modelOf('other', { rows: 64 }))).toBeNull();
  });

  it('names the first token that means something else', () => {
    const swapped = { ...bpe.vocab, '3': bpe.vocab['4']!, '4': bpe.vocab['3']! };
    expect(tokenizerDifference(own, modelOf('other', { vocab: swapped }))).toBe(
      `token ${bpe.vocab['3']} is "4" in other, "3" in own`,
    );
  });

  it('names a token that is missing, and takes one that is added', () => {
    const more = modelOf('more', {
      added: [
        {
          id: last + 1,
          content: '<tool>',
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: true,
        },
      ],
    });
    expect(tokenizerDifference(own, more)).toBeNull();
    expect(tokenizerDifference(more, own)).toBe(`token ${last + 1} is absent in own, "<tool>" in more`);
  });

  it('names the first pair that is put together in another order, in either notation', () => {
    const vocab = { ...bpe.vocab, '12': last + 1, '34': last + 2 };
    const [pairs, texts] = [
      [
        ['1', '2'],
        ['3', '4'],
      ],
      ['1 2', '3 4'],
    ];
    const first = modelOf('first', { vocab, merges: pairs });
    expect(tokenizerDifference(first, modelOf('second', { vocab, merges: texts }))).toBeNull();
    expect(tokenizerDifference(first, modelOf('second', { vocab, merges: [...texts].reverse() }))).toBe(
      'merge 0 is "3 4" in second, "1 2" in first',
    );
  });
});
