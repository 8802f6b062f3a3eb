import { blocksOf } from './vocabulary-blocks';

describe('blocksOf', () => {
  it.each([
    ['a small vocabulary is one block', 768, { count: 1, width: 768 }],
    ['SmolLM2', 49_152, { count: 192, width: 256 }],
    ['Llama 3', 128_256, { count: 334, width: 384 }],
    ['Qwen 3', 151_936, { count: 128, width: 1187 }],
    ['GPT-2, whose size has two prime factors', 50_257, { count: 29, width: 1733 }],
    ['a prime number of entries, some of which are added', 32_003, { count: 179, width: 179 }],
  ])('%s: %d', (_, size, expected) => {
    expect(blocksOf(size)).toEqual(expected);
  });
});
