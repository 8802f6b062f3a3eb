import fc from 'fast-check';
import type { TemplateTraits } from '../hugging-face/template/template-traits';
import type { Tokenizer } from '../hugging-face/tokenizer';
import { parseAnswer } from './parse-answer';
import { settledAnswer } from './settled-answer';

const [THINK, CALL, END] = [300, 301, 302] as const;
const specialTokens = new Map<number, string>([
  [THINK, '<think>'],
  [CALL, '<tool_call>'],
  [END, '<|done|>'],
]);
const tools = [{ name: 'add', description: 'adds', parameters: {} }];

/** A token is a byte, or special. */
function tokenizerOf(traits: Partial<TemplateTraits>, opensThinking = false): Tokenizer {
  const decode = (ids: readonly number[], { skipSpecialTokens = true } = {}): string =>
    Buffer.concat(
      ids.map((id) =>
        id < 256 ? Uint8Array.of(id) : Buffer.from(skipSpecialTokens ? '' : specialTokens.get(id)!),
      ),
    ).toString();
  const template = { traits: { thinking: 'field', callForm: 'tagged-json', ...traits }, opensThinking };
  return { decode, specialTokens, chatTemplate: template } as unknown as Tokenizer;
}

const tokens = (...parts: (string | number)[]): number[] =>
  parts.flatMap((part) => (typeof part === 'number' ? [part] : [...Buffer.from(part)]));

describe('settledAnswer', () => {
  it.each<[string, Partial<TemplateTraits>, number[], string, string]>([
    ['content', {}, tokens('Hällo'), '', 'Hällo'],
    ['a part of a character', {}, tokens('aé').slice(0, -1), '', 'a'],
    ['what may be the tag of thinking', {}, tokens('\n<thi'), '', ''],
    ['thinking that goes on', {}, tokens('<think>\nI add </th'), 'I add', ''],
    ['thinking by a special token', {}, tokens(THINK, 'I add '), 'I add', ''],
    ['what is said after thinking', {}, tokens('<think>a</think>\n\nb'), 'a', 'b'],
    ['tags that the template does not know', { thinking: null }, tokens('<think>a'), '', '<think>a'],
    ['what may be the tag of a call', {}, tokens('One moment. <tool'), '', 'One moment.'],
    ['a call', {}, tokens('One moment. <tool_call>{"na'), '', 'One moment.'],
    ['a call by a special token', {}, tokens('a', CALL, '{}'), '', 'a'],
    ['other tags', {}, tokens('a <b>c</b>'), '', 'a <b>c</b>'],
    ['what may be a bare call', { callForm: 'bare-json' }, tokens('{"name"'), '', ''],
    ['tags of calls that are unknown', { callForm: null }, tokens('a <tool_call>'), '', 'a <tool_call>'],
  ])('of %s', (_, traits, tokenIds, reasoning, content) => {
    expect(settledAnswer(tokenizerOf(traits), { tokenIds, tools })).toEqual({ reasoning, content });
  });

  it('holds back what may begin a stop string', () => {
    const settled = settledAnswer(tokenizerOf({}), { tokenIds: tokens('one EN'), stop: ['END'] });
    expect(settled).toEqual({ reasoning: '', content: 'one' });
  });

  it('takes all for thinking until it ends where the template has opened it', () => {
    const tokenizer = tokenizerOf({}, true);
    expect(settledAnswer(tokenizer, { tokenIds: tokens('I add') })).toEqual({
      reasoning: 'I add',
      content: '',
    });
    const tokenIds = tokens('I add\n</think>\n\n5');
    expect(settledAnswer(tokenizer, { tokenIds })).toEqual({ reasoning: 'I add', content: '5' });
  });

  it('never takes back what it settled, and is what the whole answer begins with', () => {
    const piece = fc.constantFrom<string | number>(
      ...[
        '<think>',
        '</think>',
        '<tool_call>',
        '</tool_call>',
        '{"name":"add","arguments":{}}',
        '{',
        '<',
        '<to',
      ],
      ...['a', 'é', '😀', ' ', '\n', THINK, CALL, END],
    );
    const form = fc.constantFrom<TemplateTraits['callForm']>('tagged-json', 'tagged-xml', 'bare-json', null);
    const thinking = fc.constantFrom<TemplateTraits['thinking']>('field', null);
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.record({ callForm: form, thinking }),
        fc.boolean(),
        (parts, traits, opensThinking) => {
          const tokenizer = tokenizerOf(traits, opensThinking);
          const all = tokens(...parts);
          const { message } = parseAnswer(tokenizer, { tokenIds: all, tools });
          let before = { reasoning: '', content: '' };
          for (let end = 1; end <= all.length; end++) {
            const settled = settledAnswer(tokenizer, { tokenIds: all.slice(0, end), tools });
            expect(settled.reasoning.startsWith(before.reasoning)).toBe(true);
            expect(settled.content.startsWith(before.content)).toBe(true);
            before = settled;
          }
          expect((message.reasoning ?? '').startsWith(before.reasoning)).toBe(true);
          // A call takes the white space around the content along.
          const content = message.toolCalls === undefined ? before.content : before.content.trimStart();
          expect(message.content.startsWith(content)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
