import { boundedSearch, regularExpression } from '../regular-expression';
import type { Reward } from './reward';

/** The text itself, less one `<…>` of working in front of it. */
const AFTER_WORKING = /^(?:<[^<>]*>)?(.*)$/s;

/**
 * 1 when the answer in the text equals the sample's, character by character but for white space around it, else 0. The
 * answer is the first group of `pattern`; by default all of the text after the `<working>` of the arithmetic task.
 *
 * @throws {ForgeError} CONFIG_INVALID when `pattern` is not a regular expression, and from `score` when it takes longer
 *   than a second.
 */
export function exactReward({ pattern }: { pattern?: string } = {}): Reward {
  const search =
    pattern === undefined
      ? (text: string) => AFTER_WORKING.exec(text)
      : boundedSearch(regularExpression(pattern, 's', 'exact.pattern'), 'exact.pattern');
  return {
    name: 'exact',
    score({ answer }, text) {
      const found = search(text.trim());
      return answer !== undefined && (found?.[1] ?? found?.[0])?.trim() === answer.trim() ? 1 : 0;
    },
  };
}
