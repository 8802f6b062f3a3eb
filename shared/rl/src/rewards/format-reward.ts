import { boundedSearch, regularExpression } from '../regular-expression';
import type { Reward } from './reward';

/**
 * 1 when the text matches the regular expression anywhere (anchor it to match all of the text), else 0.
 *
 * @throws {ForgeError} CONFIG_INVALID when `pattern` is not a regular expression, and from `score` when it takes longer
 *   than a second.
 */
export function formatReward({ pattern, flags = 's' }: { pattern: string; flags?: string }): Reward {
  const expression = regularExpression(pattern, flags, 'format.pattern');
  const search = boundedSearch(expression, 'format.pattern');
  return {
    name: 'format',
    score: (_sample, text) => (search(text) === null ? 0 : 1),
  };
}
