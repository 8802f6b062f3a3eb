import { formatPythonNumber, parsePythonFloat, PYTHON_SPACE } from './python-float';
import type { Reward } from './reward';

export interface MathRewardOptions {
  /** Largest difference that does not yet count as wrong (exclusive). */
  tolerance?: number;
  /** Reward of the right number anywhere outside the answer tags. */
  partialCredit?: number;
}

const CURRENCY_COMMAS_SPACE = new RegExp(`[$,${PYTHON_SPACE}]`, 'g');

/** The number a person wrote, dollar signs, thousands separators and white space aside; null for an invalid one. */
export function parseAmount(text: string): number | null {
  return parsePythonFloat(text.replace(CURRENCY_COMMAS_SPACE, ''));
}

/**
 * 1 when the first `<answer>…</answer>` is numerically the sample's answer; `partialCredit` when the answer's digits
 * stand anywhere outside such tags; else 0, also when the sample's answer is not a number. torchforge's MathReward.
 */
export function mathReward({ tolerance = 1e-6, partialCredit = 0.1 }: MathRewardOptions = {}): Reward {
  return {
    name: 'math',
    score({ answer = '' }, text) {
      const target = parseAmount(answer);
      if (target === null) return 0;
      const { inside, outside } = splitByTags(text);
      const given = parseAmount(inside);
      if (given !== null && Math.abs(target - given) < tolerance) return 1;
      return outside.includes(formatPythonNumber(target)) ? partialCredit : 0;
    },
  };
}

const [OPEN, CLOSE] = ['<answer>', '</answer>'];

/** The content of the first pair of answer tags, and the text without any pair; in one pass, however many are open. */
function splitByTags(text: string): { inside: string; outside: string } {
  let [inside, outside, from] = ['', '', 0];
  for (;;) {
    const open = text.indexOf(OPEN, from);
    const close = open < 0 ? -1 : text.indexOf(CLOSE, open);
    if (close < 0) return { inside, outside: outside + text.slice(from) };
    if (from === 0) inside = text.slice(open + OPEN.length, close);
    outside += text.slice(from, open);
    from = close + CLOSE.length;
  }
}
