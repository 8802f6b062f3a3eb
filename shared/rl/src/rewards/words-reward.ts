import type { Reward } from './reward';

/** The share of `words` that stand in the text as whole words, in any case. */
export function wordsReward({ words }: { words: readonly string[] }): Reward {
  const expressions = words.map(
    (word) => new RegExp(`(?<![\\p{L}\\p{N}])${escape(word)}(?![\\p{L}\\p{N}])`, 'iu'),
  );
  return {
    name: 'words',
    score: (_sample, text) => expressions.filter((word) => word.test(text)).length / words.length,
  };
}

function escape(word: string): string {
  return word.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
