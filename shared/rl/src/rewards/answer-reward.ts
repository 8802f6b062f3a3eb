import { finalAnswer } from './final-answer';
import { plainForm } from './plain-form';
import type { Reward } from './reward';
import { lastNumber, writtenNumber, type WrittenNumber } from './written-number';

export interface AnswerRewardOptions {
  /** Largest difference that still counts as equal, relative for answers below 1. */
  tolerance?: number;
}

/**
 * 1 when the text's answer is the sample's, as people write answers, else 0. The answer stands in `\boxed{}`, after `####` or in
 * answer tags; without these it is the last number, or the last line where the sample's answer is a text.
 *
 * Numbers are equal whatever their separators, signs, fractions, currency and units; a percentage is its number and its
 * hundredth. Other answers are equal but for case, white space and typesetting.
 */
export function answerReward({ tolerance = 1e-5 }: AnswerRewardOptions = {}): Reward {
  return {
    name: 'answer',
    score({ answer = '' }, text) {
      const expected = finalAnswer(answer) ?? answer.trim();
      if (expected === '') return 0;
      const marked = finalAnswer(text);
      const number = writtenNumber(expected);
      if (number === null) return isSameText(expected, marked ?? lastLine(text)) ? 1 : 0;
      const given = marked === null ? lastNumber(text) : writtenNumber(marked);
      return given !== null && isSameNumber(number, given, tolerance) ? 1 : 0;
    },
  };
}

function isSameNumber(expected: WrittenNumber, given: WrittenNumber, tolerance: number): boolean {
  const isClose = (target: number, value: number): boolean =>
    Math.abs(target - value) <= tolerance * Math.min(1, Math.abs(target));
  if (isClose(expected.value, given.value)) return true;
  if (expected.isPercent === given.isPercent) return false;
  return expected.isPercent
    ? isClose(expected.value / 100, given.value)
    : isClose(expected.value, given.value / 100);
}

/** Typesetting makes an answer at most so many times as long. */
const TYPESET_FACTOR = 16;

function isSameText(expected: string, given: string): boolean {
  if (given.length > TYPESET_FACTOR * (expected.length + TYPESET_FACTOR)) return false;
  return bareText(expected) === bareText(given);
}

function bareText(text: string): string {
  const bare = plainForm(text)
    .toLowerCase()
    .replace(/[\s\u2009]+/g, '')
    .replace(/^["'“‘]+|["'”’.]+$/g, '');
  return /^\((\p{L})\)$/u.exec(bare)?.[1] ?? bare;
}

function lastLine(text: string): string {
  const end = text.trimEnd();
  return end.slice(end.lastIndexOf('\n') + 1).trim();
}
