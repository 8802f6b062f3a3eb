import type { Reward } from './reward';

/** 1 for a completion of exactly `targetTokens` tokens, falling linearly to 0 at no token and at twice as many. */
export function lengthReward({ targetTokens }: { targetTokens: number }): Reward {
  return {
    name: 'length',
    score(_sample, _text, { tokenIds }) {
      return Math.max(0, 1 - Math.abs(tokenIds.length - targetTokens) / targetTokens);
    },
  };
}
