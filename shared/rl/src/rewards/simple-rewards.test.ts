import { completionOf, sampleOf } from './completion.fixture';
import { exactReward } from './exact-reward';
import { formatReward } from './format-reward';
import { lengthReward } from './length-reward';
import { wordsReward } from './words-reward';

const sample = sampleOf('19');

describe('lengthReward', () => {
  it.each([
    [0, 0],
    [5, 0.5],
    [10, 1],
    [15, 0.5],
    [20, 0],
    [50, 0],
  ])('gives a completion of %i tokens, with a target of 10, %p', (tokens, reward) => {
    expect(lengthReward({ targetTokens: 10 }).score(sample, '', completionOf('', tokens))).toBe(reward);
  });
});

describe('formatReward', () => {
  const score = (pattern: string, text: string, flags?: string) =>
    formatReward({ pattern, ...(flags !== undefined && { flags }) }).score(sample, text, completionOf(text));

  it.each([
    ['^<\\d+>\\d+$', '<91>19', 1],
    ['^<\\d+>\\d+$', '<91>19 ', 0],
    ['^<think>.*</think>', '<think>a\nb</think> c', 1],
  ])('matches /%s/s against %j as %p', (pattern, text, reward) => {
    expect(score(pattern, text)).toBe(reward);
  });

  it('takes flags, and the same answer twice with a sticky or global one', () => {
    expect(score('ABC', 'abc')).toBe(0);
    expect(score('ABC', 'abc', 'i')).toBe(1);
    const reward = formatReward({ pattern: 'a', flags: 'g' });
    expect([1, 2].map(() => reward.score(sample, 'a', completionOf('a')))).toEqual([1, 1]);
  });

  it.each([
    ['(a+)+$', `${'a'.repeat(50)}!`],
    ['^(a|a)*$', `${'a'.repeat(50)}!`],
  ])('gives up a search for %j that would take years, naming it', (pattern, text) => {
    expect(() => score(pattern, text)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(
          `format.pattern: found /${pattern}/s, which takes longer than 1000 ms`,
        ),
      }),
    );
  });

  it('refuses a pattern that is no regular expression', () => {
    expect(() => formatReward({ pattern: '(' })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('format.pattern: found /(/s'),
      }),
    );
  });
});

describe('wordsReward', () => {
  const score = (words: string[], text: string) =>
    wordsReward({ words }).score(sample, text, completionOf(text));

  it('gives the share of the words that occur', () => {
    expect(score(['dog', 'ball', 'happy', 'tree'], 'The dog saw a ball. The dog was happy.')).toBe(0.75);
  });

  it('counts whole words in any case and any script', () => {
    expect(score(['dog'], 'DOG!')).toBe(1);
    expect(score(['dog'], 'dogs and hotdog')).toBe(0);
    expect(score(['été'], "L'Été vient")).toBe(1);
    expect(score(['t'], 'été')).toBe(0);
  });

  it('takes words literally', () => {
    expect(score(['c++', 'a.b'], 'I like C++ and axb')).toBe(0.5);
  });
});

describe('exactReward', () => {
  const score = (text: string, answer?: string, pattern?: string) =>
    exactReward({ ...(pattern !== undefined && { pattern }) }).score(
      sampleOf(answer),
      text,
      completionOf(text),
    );

  it.each([
    ['19', 1],
    ['<91>19', 1],
    [' <91> 19\n', 1],
    ['<00>19', 1],
    ['91', 0],
    ['<91>', 0],
    ['<91>019', 0],
    ['<91>19.', 0],
    ['<91>19<91>19', 0],
    ['<91><91>19', 0],
    ['', 0],
  ])('scores %j for 19 as %p', (text, reward) => {
    expect(score(text, '19')).toBe(reward);
  });

  it('takes the answer out by a pattern of its own', () => {
    expect(score('so it is #### 42', '42', '#### (.+)$')).toBe(1);
    expect(score('so it is 42', '42', '#### (.+)$')).toBe(0);
    expect(score('so it is 42', '42', '\\d+$')).toBe(1);
  });

  it('gives nothing to a sample without an answer', () => {
    expect(score('')).toBe(0);
  });
});
