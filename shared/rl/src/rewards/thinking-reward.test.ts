import { completionOf, sampleOf } from './completion.fixture';
import { thinkingReward, type ThinkingRewardOptions } from './thinking-reward';

const score = (text: string, options?: ThinkingRewardOptions, answer?: string) =>
  thinkingReward(options).score(sampleOf(answer), text, completionOf(text));
const custom = { partialReward: 0.3, fullReward: 0.9 };
const block = '<think>This is my reasoning</think>';

describe('thinkingReward', () => {
  it.each([
    block,
    'Before.\n<think>\nStep 1: add\nStep 2: check\n</think>\nAfter.',
    '<think>x</think>',
    '<THINK>Upper</THINK>',
    '<Think>Title</Think>',
    '<THINK>mixed</think>',
    '< think >spaced</ think >',
    '<\tthink\n>Content</\tthink\n>',
    '< think >spaced</think  >',
    '<think>First</think> and <think>Second</think>',
    '<think></think> and <think>Second</think>',
    '<think>Outer <think>inner</think> thought</think>',
    '<think>!@#$%^&*()_+-=[]{}|;:,.<>?</think>',
    '<think>思考 🤔 émoji</think>',
    `<think>${'A'.repeat(10_000)}</think>`,
    '<thın\u212a>as Python ignores case</THİNK>',
  ])('gives full marks to a block with content: %.60j', (text) => {
    expect(score(text)).toBe(1);
  });

  it.each([
    '<think></think>',
    '<think>   </think>',
    '<think>\n\t \x1f</think>',
    '<think>open',
    '<think>',
    'close</think>',
    '</think>',
  ])('gives partial marks to %j', (text) => {
    expect(score(text)).toBe(0.2);
  });

  it.each(['', 'No tags here', '<thinking>no</thinking>', 'think'])('gives nothing to %j', (text) => {
    expect(score(text)).toBe(0);
  });

  it('takes the marks from its options', () => {
    expect([block, '<think>', 'no'].map((text) => score(text, custom))).toEqual([0.9, 0.3, 0]);
    expect([block, '<think>'].map((text) => score(text, { partialReward: 0, fullReward: 0 }))).toEqual([
      0, 0,
    ]);
    const negative = { partialReward: -0.1, fullReward: -0.5 };
    expect([block, '<think>'].map((text) => score(text, negative))).toEqual([-0.5, -0.1]);
  });

  it('does not look at the answer', () => {
    expect(score(block, {}, '42')).toBe(1);
    expect(score('42', {}, '42')).toBe(0);
  });
});
