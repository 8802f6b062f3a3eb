import { formatPythonNumber, parsePythonFloat, PYTHON_SPACE } from './python-float';
import type { Reward } from './reward';

export interface MathRewardOptions {
  /** Largest difference that does not yet count as wrong (exclusive). */
  tolerance?: number;
  /** For the right number anywhere outside the answer tags. */
  partialCredit?: number;
}

const CURRENCY_COMMAS_SPACE = new RegExp(`[$,${PYTHON_SPACE}]`, 'g');

/** The number a person wrote, dollar signs, thousands separators and white space aside; null if it is none. */
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
      const given = parseAmount(/<answer>(.*?)<\/answer>/s.exec(text)?.[1] ?? '');
      if (given !== null && Math.abs(target - given) < tolerance) return 1;
      const outside = text.replace(/<answer>.*?<\/answer>/gs, '');
      return outside.includes(formatPythonNumber(target)) ? partialCredit : 0;
    },
  };
}
