import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { answerReward } from './answer-reward';
import { completionOf, sampleOf } from './completion.fixture';

const score = (text: string, answer: string | undefined, tolerance?: number) =>
  answerReward({ ...(tolerance !== undefined && { tolerance }) }).score(
    sampleOf(answer),
    text,
    completionOf(text),
  );

describe('answerReward', () => {
  it.each<[string, string, string]>([
    ['a box', 'so \\boxed{42}', '42'],
    ['the last box', '\\boxed{41}, no: \\boxed{42}.', '42'],
    ['braces inside a box', '\\boxed{\\frac{1}{2}}', '0.5'],
    ['a box inside a box', '\\boxed{\\boxed{7}}', '7'],
    ['a box with a unit', '\\boxed{42\\text{ km}}', '42'],
    ['the last box that is closed', '\\boxed{42} and \\boxed{4', '42'],
    ['a box before hashes', '#### 41\n\\boxed{42}', '42'],
    ['hashes', 'steps\n#### 42', '42'],
    ['hashes with more after them', '#### 42\nThe end of 7 steps.', '42'],
    ['answer tags', '<answer> 42 </answer>', '42'],
    ['a sentence in answer tags', '<answer>The answer is 42 apples.</answer>', '42'],
    ['the last number', 'First 3 * 4 = 12, then 12 + 30 = 42.', '42'],
    ['the last number, with words after it', 'She sells 42 eggs', '42'],
    ['the mark of a whole solution in the data', 'It is 18.', 'She makes 9 * 2 = $18\n#### 18'],
    ['decimals', '#### .5', '0.50'],
    ['zeros behind', '42.00', '42'],
    ['a point at the end of a sentence', 'It costs 3.', '3'],
    ['a fraction', '1/2', '0.5'],
    ['a fraction of LaTeX without braces', '\\boxed{\\frac12}', '1/2'],
    ['other fractions of LaTeX', '$\\dfrac{3}{4}$', '\\tfrac{6}{8}'],
    ['a negative fraction', '\\boxed{-\\frac{1}{2}}', '-0.5'],
    ['a sign inside a fraction', '\\boxed{\\frac{-1}{2}}', '-\\frac{1}{2}'],
    ['a mixed number', '1 1/2', '1.5'],
    ['a mixed number of LaTeX', '\\boxed{2\\frac{1}{4}}', '2.25'],
    ['a fraction of one character', '3½ cups', '3.5'],
    ['a fraction slash', '1⁄4', '0.25'],
    ['a periodic fraction', '0.333333', '1/3'],
    ['percent', '#### 50%', '50'],
    ['percent as a share', '0.5', '50 %'],
    ['a share in percent', '\\boxed{12.5\\%}', '0.125'],
    ['percent as a word', 'It is 20 percent', '20%'],
    ['a unit', '42 kg', '42'],
    ['a unit at the number', '\\boxed{42cm}', '42'],
    ['a square unit', '\\boxed{12\\text{ m}^2}', '12'],
    ['a square unit of one character', '12 m²', '12'],
    ['degrees', '\\boxed{90^\\circ}', '90°'],
    ['a rate', '60 km/h', '60'],
    ['dollars', 'She makes $18 every day', '18'],
    ['dollars of LaTeX', '\\boxed{\\$18.50}', '18.5'],
    ['euros behind', '18,000 €', '18000'],
    ['a minus before the currency', '-$5', '-5'],
    ['a minus behind the currency', '$-5', '-5'],
    ['a currency by name', 'USD 1,000', '1000'],
    ['a formula', '$x = 5$', '5'],
    ['thousands', '#### 1,234,567', '1234567'],
    ['thousands in the data', '70000', '$70,000'],
    ['thousands of LaTeX', '\\boxed{10{,}000}', '10000'],
    ['other thousands of LaTeX', '\\boxed{10\\,000}', '10000'],
    ['thousands apart', '#### 12 345 678', '12345678'],
    ['thousands by narrow spaces', '12\u202f345', '12345'],
    ['Swiss thousands', "12'345.50", '12345.5'],
    ['Indian thousands', '12,34,567', '1234567'],
    ['a minus sign', '\u22125', '-5'],
    ['an en dash', '–5', '-5'],
    ['an em dash', '#### —5', '-5'],
    ['a full-width minus', '－５', '-5'],
    ['a figure dash in the data', '-5', '\u20125'],
    ['a minus set apart', '\\boxed{- 5}', '-5'],
    ['a plus sign', '+5', '5'],
    ['a difference', '#### 10-5 = 5', '5'],
    ['a difference at the end', 'the range is 3-5', '5'],
    ['an exponent', '1.5e6', '1500000'],
    ['a power of ten', '\\boxed{1.5 \\times 10^{6}}', '1,500,000'],
    ['a negative power of ten', '6.02 × 10⁻³', '0.00602'],
    ['a power', '2^{10}', '1024'],
    ['millions', '#### 1.5 million', '1500000'],
    ['digits of another script', '٤٢', '42'],
    ['bold type', 'The answer is **42**.', '42'],
    ['about', 'x \\approx 3.14', '3.14'],
    ['a text', '\\boxed{\\text{Tuesday}}', 'Tuesday'],
    ['a text without a mark', 'I think about it.\nParis.', 'paris'],
    ['a letter', '#### (B)', 'B'],
    ['a pair', '\\boxed{\\left( 1, 2 \\right)}', '(1,2)'],
    ['an expression', '\\boxed{2x + 1}', '2x+1'],
  ])('accepts %s: %j for %j', (_name, text, answer) => {
    expect(score(text, answer)).toBe(1);
  });

  it.each<[string, string, string]>([
    ['another number', '#### 41', '42'],
    ['a large number that is one off', '123456788', '123456789'],
    ['a small number of another size', '1e-19', '1.6e-19'],
    ['zero for a small number', '0', '1.6e-19'],
    ['a sign', '-42', '42'],
    ['a number named before the box', 'The 42 gives \\boxed{43}', '42'],
    ['a number after the mark', '#### 43\nnot 42', '42'],
    ['a part of a pair', '\\boxed{(1,2)}', '2'],
    ['a part of a list', '#### 1, 2, 42', '42'],
    ['a multiple of a variable', '\\boxed{3x}', '3'],
    ['a multiple of a root', '\\boxed{3\\sqrt{2}}', '3'],
    ['a multiple of pi', '\\boxed{2\\pi}', '2'],
    ['a sum', '\\boxed{40 + 2}', '42'],
    ['an inequality', '\\boxed{x < 5}', '5'],
    ['a day', '#### 12/25/2020', '12'],
    ['a number in a name', 'See model X42', '42'],
    ['an exponent for a number', 'It is 10 m^2', '2'],
    ['millions for ones', '5 million', '5'],
    ['digits with a separator out of place', '#### 1,23', '123'],
    ['another share', '5%', '0.5'],
    ['no number', 'I do not know', '42'],
    ['nothing', '', '42'],
    ['an empty box', '\\boxed{}', '42'],
    ['another text', '\\boxed{Monday}', 'Tuesday'],
    ['pairs the other way round', '\\boxed{(2,1)}', '(1,2)'],
    ['anything for an empty answer', '42', ''],
  ])('refuses %s: %j for %j', (_name, text, answer) => {
    expect(score(text, answer)).toBe(0);
  });

  it('gives nothing for a sample without an answer', () => {
    expect(score('42', undefined)).toBe(0);
  });

  it('takes numbers as equal within its tolerance, relative below 1', () => {
    expect([score('41.9', '42', 0.2), score('41.7', '42', 0.2)]).toEqual([1, 0]);
    expect([score('0.0011', '0.001', 0.2), score('0.0013', '0.001', 0.2)]).toEqual([1, 0]);
  });

  const gsm8k = join(__dirname, '../../../../../shared/data/gsm8k/test.jsonl');
  const itWithData = existsSync(gsm8k) ? it : it.skip;
  itWithData('reads every answer of GSM8K (skipped where its file is not there)', () => {
    const lines = readFileSync(gsm8k, 'utf8').trim().split('\n');
    const answers = lines.map((line) => (JSON.parse(line) as { answer: string }).answer);
    expect(answers.length).toBe(1319);
    const wrong = answers.flatMap((solution) => {
      const answer = solution.split('#### ')[1]!;
      const value = Number(answer.replaceAll(',', ''));
      const right = [
        solution,
        answer,
        `$${answer}`,
        `\\boxed{${answer}}`,
        `So it is ${answer} in all.`,
        `${value}.00`,
      ];
      const others = [`#### ${value + 1}`, `\\boxed{${-value - 1}}`, `${answer}1`];
      const fails = [
        ...right.filter((text) => score(text, answer) !== 1 || score(text, solution) !== 1),
        ...others.filter((text) => score(text, answer) !== 0),
      ];
      return fails.map((text) => ({ text, answer }));
    });
    expect(wrong).toEqual([]);
  });
});
