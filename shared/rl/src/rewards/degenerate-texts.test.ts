import { createContext, runInContext } from 'node:vm';
import { completionOf, sampleOf } from './completion.fixture';
import { answerReward } from './answer-reward';
import { exactReward } from './exact-reward';
import { formatReward } from './format-reward';
import { jsonReward } from './json-reward';
import { mathReward } from './math-reward';
import { parsePythonFloat } from './python-float';
import type { Reward } from './reward';
import { thinkingReward } from './thinking-reward';
import { wordsReward } from './words-reward';

/** A quadratic reward takes minutes for so many characters, a linear one less than a second. */
const LENGTH = 1_000_000;
const LIMIT_MS = 20_000;

/** Parts of degenerate completions: the start, the part repeated, the end. */
const TEXTS: readonly [string, string, string][] = [
  ['', '<answer>', ''],
  ['<answer>', '</answer', ''],
  ['', '<answer></answer>', '<answer>'],
  ['', '<think>', ''],
  ['<think>', ' <', ''],
  ['<think>', '</think', ''],
  ['<', ' ', 'x'],
  ['</', ' ', 'x'],
  ['<think', ' ', 'x'],
  ['', '1', 'x'],
  ['<answer>', '1', 'x</answer>'],
  ['<answer>', '1_', '_</answer>'],
  ['', ' ', 'x'],
  ['x', ' ', 'x'],
  ['', '\n', 'x'],
  ['', '#### ', ''],
  ['#### ', '1,', ''],
  ['#### ', '111,', 'x'],
  ['', '\\boxed{', ''],
  ['\\boxed{', '{', '}'],
  ['', '\\boxed{1} ', '\\boxed{'],
  ['\\boxed{', '1', '}'],
  ['', '\\frac{', ''],
  ['', '\\frac{1}{', ''],
  ['', '\\text{', ''],
  ['', '-', '1'],
  ['', '- ', '1'],
  ['', '$', '1'],
  ['', '1/', '1'],
  ['', '1 ', '1/2'],
  ['', '1\u2009', ''],
  ['', '1^{', ''],
  ['', '1e', ''],
  ['', '=', '1'],
  ['', '½', ''],
  ['', '٣', ''],
  ['', '<', ''],
  ['', '```', ''],
  ['', 'a', '!'],
  ['', '[', ''],
];

const rewards: Record<string, Reward> = {
  answer: answerReward(),
  exact: exactReward(),
  format: formatReward({ pattern: '^<think>.*</think>' }),
  json: {
    name: 'json',
    score: (sample, ...rest) =>
      jsonReward().score({ ...sample, answer: JSON.stringify(sample.answer) }, ...rest),
  },
  math: mathReward(),
  thinking: thinkingReward(),
  words: wordsReward({ words: ['aaaa', '1 1', '<think>'] }),
};

describe.each(Object.entries(rewards))('%s', (_name, reward) => {
  it.each(TEXTS)('is linear in %j and %j repeated before %j', (start, part, end) => {
    const text = start + part.repeat(Math.ceil(LENGTH / part.length)) + end;
    const completion = completionOf(text);
    for (const answer of ['42', '1/2', 'Paris']) {
      const value = within(() => reward.score(sampleOf(answer), text, completion));
      expect(Number.isFinite(value)).toBe(true);
    }
  });
});

describe('parsePythonFloat', () => {
  it.each(['1', ' ', '1_', '٣'])('is linear in %j repeated', (part) => {
    const text = `1${part.repeat(LENGTH)}x`;
    expect(within(() => parsePythonFloat(text))).toBeNull();
  });
});

/** The result of `run`; a regular expression that goes on for longer is interrupted. */
function within<T>(run: () => T): T {
  return runInContext('run()', createContext({ run }), { timeout: LIMIT_MS }) as T;
}
