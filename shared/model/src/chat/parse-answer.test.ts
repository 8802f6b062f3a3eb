import type { ToolSpec } from '@forge/contracts';
import { tokenizerOf, type TEMPLATES } from './chat-templates.fixture';
import { parseAnswer } from './parse-answer';

const add: ToolSpec = {
  name: 'add',
  description: 'Adds.',
  parameters: {
    type: 'object',
    properties: { a: { type: 'number' }, note: { type: 'string' }, isExact: { type: 'boolean' } },
  },
};

function parsed(name: keyof typeof TEMPLATES, text: string, tools: ToolSpec[] = [add]) {
  const tokenizer = tokenizerOf(name);
  return parseAnswer(tokenizer, { tokenIds: tokenizer.encode(text), tools, callIds: 'c' });
}

const call = (given: Record<string, unknown>, k = 0, name = 'add') => ({
  id: `c-${k}`,
  name,
  arguments: given,
});

describe('parseAnswer', () => {
  it.each(['qwen2.5', 'qwen3', 'llama3.1', 'smollm2', 'smollm3'] as const)(
    'leaves plain text as it is (%s)',
    (name) => {
      const text = ' Two, \n\nhello "{"!\n';
      const end = name === 'llama3.1' ? '<|eot_id|>' : '<|im_end|>';
      const plain = { message: { role: 'assistant', content: text }, isMalformed: false };
      expect(parsed(name, text + end)).toEqual(plain);
      expect(parsed(name, text)).toEqual(plain);
    },
  );

  it.each(['qwen2.5', 'qwen3', 'smollm2', 'smollm3'] as const)('reads JSON between tags (%s)', (name) => {
    const text =
      'So:\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n<tool_call>{"arguments":{},"name":"sub"}</tool_call><|im_end|>';
    expect(parsed(name, text)).toEqual({
      message: {
        role: 'assistant',
        content: 'So:',
        toolCalls: [call({ a: 1 }), call({}, 1, 'sub')],
      },
      isMalformed: false,
    });
  });

  it('reads a list of calls, and a call whose end the answer stopped before', () => {
    const text =
      '<tool_call>[{"name": "add", "arguments": {"a": 1}}, {"name": "add", "arguments": {"a": 2}}]';
    expect(parsed('smollm2', text).message).toEqual({
      role: 'assistant',
      content: '',
      toolCalls: [call({ a: 1 }), call({ a: 2 }, 1)],
    });
  });

  it('reads functions between tags, values by the schema of the tool', () => {
    const text =
      'Hm.\n</think>\n\nNow.\n<tool_call>\n<function=add>\n<parameter=a>\n1.5\n</parameter>\n<parameter=note>\n17\nor so\n</parameter>\n<parameter=isExact>\nFalse\n</parameter>\n<parameter=other>\n1\n</parameter>\n</function>\n</tool_call><|im_end|>';
    expect(parsed('qwen3-coder', text).message).toEqual({
      role: 'assistant',
      reasoning: 'Hm.',
      content: 'Now.',
      toolCalls: [call({ a: 1.5, note: '17\nor so', isExact: false, other: '1' })],
    });
    expect(parsed('qwen3-coder', '\n</think>\n\n<tool_call><function=stop></function>').message).toEqual({
      role: 'assistant',
      reasoning: '',
      content: '',
      toolCalls: [call({}, 0, 'stop')],
    });
  });

  it('reads an answer that is a call as a whole', () => {
    const text = '{"name": "add", "parameters": {"a": 1}}';
    const message = { role: 'assistant', content: '', toolCalls: [call({ a: 1 })] };
    expect(parsed('llama3.1', `${text}<|eot_id|>`)).toEqual({ message, isMalformed: false });
    expect(parsed('llama3.1', `<|python_tag|>${text}<|eom_id|>`, [])).toEqual({
      message,
      isMalformed: false,
    });
    expect(parsed('llama3.1', text.replace('parameters', 'arguments')).message).toEqual(message);
    // Without tools, JSON is just an answer.
    expect(parsed('llama3.1', text, []).message).toEqual({ role: 'assistant', content: text });
    expect(parsed('llama3.1', '{"sum": 2}')).toEqual({
      message: { role: 'assistant', content: '{"sum": 2}' },
      isMalformed: false,
    });
  });

  it.each([
    ['qwen2.5', '<tool_call>{"name": "add", "arguments": {"a": }}</tool_call>'],
    ['qwen2.5', '<tool_call>{"name": "add"}</tool_call>'],
    ['qwen2.5', '<tool_call>{"name": "", "arguments": {}}</tool_call>'],
    ['qwen2.5', '<tool_call>{"name": "add", "arguments": [1]}</tool_call>'],
    ['qwen2.5', '<tool_call>[]</tool_call>'],
    ['qwen2.5', '<tool_call>{"name": "add", "arguments": {}}</tool_call><tool_call>{"name'],
    ['qwen2.5', '<tool_call>{"name": "add", "arguments": {}}<tool_call>'],
    ['smollm3', '<tool_call>add(1)</tool_call>'],
    ['qwen3-coder', '</think>\n\n<tool_call><function=add><parameter=a>1</function></tool_call>'],
    ['qwen3-coder', '</think>\n\n<tool_call><function=add>1</function></tool_call>'],
    ['qwen3-coder', '</think>\n\n<tool_call>{"name": "add", "arguments": {}}</tool_call>'],
    ['llama3.1', '{"name": "add", "parameters": {"a": 1}'],
    ['llama3.1', '<|python_tag|>add.call(a=1)'],
  ] as const)('leaves a call that can not be read in the content (%s: %s)', (name, text) => {
    const { message, isMalformed } = parsed(name, text);
    expect(isMalformed).toBe(true);
    expect(message.toolCalls).toBeUndefined();
    expect(message.content).toBe(text.replace('</think>\n\n', ''));
  });

  it('tells thinking apart where the template knows of it', () => {
    const text = '<think>\nHm, 1 < 2.\n</think>\n\nYes.<|im_end|>';
    const apart = { role: 'assistant', reasoning: 'Hm, 1 < 2.', content: 'Yes.' };
    expect(parsed('qwen3', text).message).toEqual(apart);
    expect(parsed('smollm3', text).message).toEqual(apart);
    expect(parsed('qwen3', '<think>\n\n</think>\n\nYes.').message).toMatchObject({ reasoning: '' });
    expect(parsed('qwen3', '<think>\nHm').message).toEqual({
      role: 'assistant',
      reasoning: 'Hm',
      content: '',
    });
    expect(parsed('qwen3', 'a </think> b').message).toEqual({ role: 'assistant', content: 'a </think> b' });
    expect(parsed('qwen3-coder', 'Hm\n</think>\n\nYes.').message).toMatchObject({
      reasoning: 'Hm',
      content: 'Yes.',
    });
    expect(parsed('qwen3-coder', 'Hm').message).toEqual({ role: 'assistant', reasoning: 'Hm', content: '' });
    expect(parsed('qwen2.5', '<think>a</think>b').message.content).toBe('<think>a</think>b');
  });
});
