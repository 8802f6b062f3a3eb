import { completionOf, sampleOf } from './completion.fixture';
import { mathReward, parseAmount, type MathRewardOptions } from './math-reward';

const score = (text: string, target: string | undefined, options?: MathRewardOptions) =>
  mathReward(options).score(sampleOf(target), text, completionOf(text));
const custom = { tolerance: 1e-3, partialCredit: 0.2 };

describe('parseAmount', () => {
  it.each<[string, number | null]>([
    ['42', 42],
    ['3.14', 3.14],
    ['-5.5', -5.5],
    ['0', 0],
    ['  123.45  ', 123.45],
    ['$42', 42],
    ['$1,000', 1000],
    ['1,234.56', 1234.56],
    ['$ 42.50 ', 42.5],
    ['abc', null],
    ['', null],
    ['12.34.56', null],
    ['not a number', null],
    ['1e6', 1_000_000],
    ['-1.5e-3', -0.0015],
    ['1\x1f0\x850', 100],
  ])('reads %j as %p', (text, value) => {
    expect(parseAmount(text)).toBe(value);
  });
});

describe('mathReward', () => {
  it.each<[string, string, number]>([
    ['<answer>42</answer>', '42', 1],
    ['<answer>3.14</answer>', '3.14', 1],
    ['<answer>-5.5</answer>', '-5.5', 1],
    ['<answer> 42 </answer>', '42', 1],
    ['<answer>\n42\n</answer>', '42', 1],
    ['First 3 * 4.\nThen\n<answer>12</answer>', '12', 1],
    ['<answer>42.0000001</answer>', '42', 1],
    ['<answer>3.1400001</answer>', '3.14', 1],
    ['<answer>42.1</answer>', '42', 0],
    ['<answer>3.15</answer>', '3.14', 0],
    ['The calculation shows 42 but I put <answer>43</answer>', '42', 0.1],
    ['Let me work through this: 42 + 1 = 43. <answer>43</answer>', '42', 0.1],
    ['Let me solve this. <answer>42</answer>', '100', 0],
    ['I calculated and got 117 as the answer. <answer>118</answer>', '117', 0.1],
    ['I calculated and got 117 as the answer. <answer>118</answer>', '117.0', 0.1],
    ['I calculated and got 3.14 as the answer. <answer>3.15</answer>', '3.14', 0.1],
    ['<answer>42</answer>', 'invalid', 0],
    ['<answer>42</answer>', '', 0],
    ['<answer>42</answer>', 'not a number', 0],
    ['The answer is 42', '42', 0.1],
    ['No matching number', '42', 0],
    ['', '42', 0],
    ['<answer>not a number</answer> but 42 is correct', '42', 0.1],
    ['<answer>0</answer>', '0', 1],
    ['<answer>0.0</answer>', '0', 1],
    ['<answer>-42</answer>', '-42', 1],
    ['<answer>-3.14</answer>', '-3.14', 1],
    ['<answer>1000000</answer>', '1000000', 1],
    ['<answer>1e6</answer>', '1000000', 1],
    ['<answer>0.000001</answer>', '0.000001', 1],
    ['<answer>1e-6</answer>', '0.000001', 1],
    ['First answer: <answer>42</answer> Second: <answer>43</answer>', '42', 1],
    ['First answer: <answer>42</answer> Second: <answer>43</answer>', '43', 0],
    ['I think the answer is 43. <answer>42</answer> But 43 might be better.', '43', 0.1],
  ])('scores %j for %j as %p', (text, target, reward) => {
    expect(score(text, target)).toBe(reward);
  });

  it.each<[string, string, number]>([
    ['<answer>42.0001</answer>', '42', 1],
    ['<answer>3.141</answer>', '3.14', 1],
    ['<answer>42.01</answer>', '42', 0],
    ['The calculation shows 42 but I put <answer>43</answer>', '42', 0.2],
  ])('with a wider tolerance and more credit scores %j for %j as %p', (text, target, reward) => {
    expect(score(text, target, custom)).toBe(reward);
  });

  it('gives nothing to a sample without an answer', () => {
    expect(score('<answer>42</answer>', undefined)).toBe(0);
  });

  it('counts a difference of exactly the tolerance as wrong', () => {
    expect(score('<answer>42.5</answer>', '42', { tolerance: 0.5 })).toBe(0);
  });

  it('never finds an infinite answer equal, and looks for its Python name', () => {
    expect(score('<answer>inf</answer>', 'inf')).toBe(0);
    expect(score('it is inf', 'Infinity')).toBe(0.1);
  });

  it('looks for a small fraction in the form Python prints', () => {
    expect(score('so 1e-05', '0.00001')).toBe(0.1);
    expect(score('so 0.00001', '0.00001')).toBe(0);
  });

  it('treats the tag as case sensitive', () => {
    expect(score('<Answer>42</Answer>', '42')).toBe(0.1);
  });
});
