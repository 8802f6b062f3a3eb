import fc from 'fast-check';
import type { ChatMessage, ToolSpec } from '@forge/contracts';
import type { Tokenizer } from '../hugging-face/tokenizer';
import { bridgeChat } from './bridge-chat';
import { chatTokenizer, TEMPLATES, tokenizerOf } from './chat-templates.fixture';
import { parseAnswer } from './parse-answer';
import { renderChat } from './render-chat';

const tools: ToolSpec[] = [{ name: 'add', description: '', parameters: { type: 'object' } }];
const asked: ChatMessage = { role: 'user', content: 'hello?' };
const TOOLS =
  '{"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object"}}}';

interface Step {
  /** Text the policy sampled, its end included. */
  sampled: string;
  added: ChatMessage[];
}

/** Tokens of text that was sampled: of all ways to write it the longest one, which no tokenizer would choose. */
function sampledTokens(tokenizer: Tokenizer, text: string): number[] {
  const parts = text.split(/(<\|?\/?[a-z_]+\|?>)/).filter(Boolean);
  return parts.flatMap((part) =>
    /^<.*>$/.test(part) ? tokenizer.encode(part) : [...part].flatMap((one) => tokenizer.encode(one)),
  );
}

/** Goes through a conversation; the tokens that stand at its end, and the fork before each turn. */
function converse(
  tokenizer: Tokenizer,
  steps: readonly Step[],
  options: { keepThinking?: boolean; tools?: ToolSpec[] } = {},
) {
  let messages: ChatMessage[] = [asked];
  let tokenIds = renderChat(tokenizer, { messages, ...options });
  const forks: (string | null)[] = [];
  for (const { sampled, added } of steps) {
    const answer = sampledTokens(tokenizer, sampled);
    const { message } = parseAnswer(tokenizer, { tokenIds: answer, ...options });
    const standing = [...tokenIds, ...answer];
    const before = [...messages, message];
    messages = [...before, ...added];
    const bridge = bridgeChat(tokenizer, { tokenIds: standing, before, added, ...options });
    forks.push('fork' in bridge ? bridge.fork : null);
    tokenIds = 'fork' in bridge ? renderChat(tokenizer, { messages, ...options }) : bridge.tokenIds;
    if (!('fork' in bridge)) expect(tokenIds.slice(0, standing.length)).toEqual(standing);
  }
  return { text: tokenizer.decode(tokenIds, { skipSpecialTokens: false }), forks };
}

const answered = (content: string): ChatMessage[] => [{ role: 'tool', content, name: 'add' }];
const noFork = (steps: readonly unknown[]): null[] => steps.map(() => null);

/** Turns with calls that are written otherwise than the template would, and one that was cut off. */
const stepsOf = (call: string, end: string): Step[] => [
  { sampled: `hello${call}${end}`, added: answered('2') },
  { sampled: `${call}${end}`, added: [...answered('3'), ...answered('4')] },
  { sampled: 'no en', added: [{ role: 'user', content: 'Go on.' }] },
  { sampled: `Done.${end}`, added: [{ role: 'user', content: 'Thanks.' }] },
];
const tagged = '<tool_call>{"arguments":{"a":1},  "name":"add"}</tool_call>';

describe('bridgeChat', () => {
  it('keeps what was sampled with the template of Qwen2.5', () => {
    const steps = stepsOf(tagged, '<|im_end|>');
    expect(converse(tokenizerOf('qwen2.5'), steps, { tools })).toEqual({
      forks: noFork(steps),
      text: `<|im_start|>system

${TOOLS}<|im_end|>
<|im_start|>user
hello?<|im_end|>
<|im_start|>assistant
hello${tagged}<|im_end|>
<|im_start|>user
<tool_response>
2
</tool_response><|im_end|>
<|im_start|>assistant
${tagged}<|im_end|>
<|im_start|>user
<tool_response>
3
</tool_response>
<tool_response>
4
</tool_response><|im_end|>
<|im_start|>assistant
no en<|im_end|>
<|im_start|>user
Go on.<|im_end|>
<|im_start|>assistant
Done.<|im_end|>
<|im_start|>user
Thanks.<|im_end|>
<|im_start|>assistant
`,
    });
  });

  it('keeps what was sampled with the template of Llama 3, and begins the text once', () => {
    const call = '{"name":"add","parameters":{}}';
    const [, second, ...others] = stepsOf(call, '<|eot_id|>');
    const steps = [second!, ...others];
    const header = (role: string): string => `<|start_header_id|>${role}<|end_header_id|>\n\n`;
    expect(converse(tokenizerOf('llama3.1'), steps, { tools })).toEqual({
      forks: noFork(steps),
      text:
        `<|begin_of_text|>${header('system')}Environment: ipython\n${TOOLS}\n` +
        'Respond in the format {"name": function name, "parameters": arguments}.<|eot_id|>' +
        `${header('user')}hello?<|eot_id|>${header('assistant')}${call}<|eot_id|>` +
        `${header('ipython')}"3"<|eot_id|>${header('ipython')}"4"<|eot_id|>` +
        `${header('assistant')}no en<|eot_id|>${header('user')}Go on.<|eot_id|>` +
        `${header('assistant')}Done.<|eot_id|>${header('user')}Thanks.<|eot_id|>${header('assistant')}`,
    });
  });

  it('writes tools and what they answer into messages where the template has no room for them', () => {
    const [first, second] = stepsOf(tagged, '<|im_end|>');
    expect(converse(tokenizerOf('smollm2'), [first!, second!], { tools })).toEqual({
      forks: [null, null],
      text: `<|im_start|>system
These tools can be called:
<tools>
${TOOLS}
</tools>
To call one, write its name and its arguments as JSON between tags, and nothing after that:
<tool_call>
{"name": "name of the tool", "arguments": {"name of the argument": "value"}}
</tool_call><|im_end|>
<|im_start|>user
hello?<|im_end|>
<|im_start|>assistant
hello${tagged}<|im_end|>
<|im_start|>user
<tool_response>
2
</tool_response><|im_end|>
<|im_start|>assistant
${tagged}<|im_end|>
<|im_start|>user
<tool_response>
3
</tool_response>
<tool_response>
4
</tool_response><|im_end|>
<|im_start|>assistant
`,
    });
  });

  it.each([
    ['qwen2.5', tagged],
    ['qwen3', `<think>\nhm\n</think>\n\n${tagged}`],
    ['qwen3', tagged],
    [
      'qwen3-coder',
      `hm\n</think>\n\n<tool_call><function=add><parameter=a>1</parameter></function></tool_call>`,
    ],
    ['llama3.1', '{"name":"add","parameters":{"a":1}}'],
    ['smollm2', tagged],
    ['smollm3', `<think>hm</think>${tagged}`],
  ] as const)('keeps eight turns with a tool (%s: %s)', (name, call) => {
    const end = name === 'llama3.1' ? '<|eot_id|>' : '<|im_end|>';
    const steps = Array.from({ length: 8 }, (_, turn) => ({
      sampled: turn === 5 ? call : call + end,
      added: answered(String(turn)),
    }));
    const { forks, text } = converse(tokenizerOf(name), steps, { tools });
    expect(forks).toEqual(noFork(steps));
    expect(text.split(call + end)).toHaveLength(9);
  });

  it.each(['qwen2.5', 'qwen3', 'llama3.1', 'smollm2', 'smollm3'] as const)(
    'puts the same tokens behind any answer, or none (%s)',
    (name) => {
      const tokenizer = tokenizerOf(name);
      const added: ChatMessage[] = [{ role: 'user', content: 'b?' }];
      const prompt = renderChat(tokenizer, { messages: [asked] });
      const end = tokenizer.endTokenIds[0]!;
      const behind = (answer: readonly number[]): number[] | string => {
        const { message } = parseAnswer(tokenizer, { tokenIds: [...answer], tools });
        const standing = [...prompt, ...answer];
        const bridge = bridgeChat(tokenizer, { tokenIds: standing, before: [asked, message], added });
        if ('fork' in bridge) return bridge.fork;
        expect(bridge.tokenIds.slice(0, standing.length)).toEqual(standing);
        return bridge.tokenIds.slice(standing.length);
      };
      const expected = behind([104, end]);
      expect(expected).toEqual(behind(tokenizer.encode('hello')).slice(1));
      // Every token but the ends, special ones and halves of characters included.
      const token = fc
        .nat({ max: tokenizer.vocabSize - 1 })
        .filter((id) => !tokenizer.endTokenIds.includes(id));
      fc.assert(
        fc.property(fc.array(token, { maxLength: 12 }), (answer) => {
          const found = behind([...answer, end]);
          if (found !== 'template-drops-thinking') expect(found).toEqual(expected);
        }),
      );
    },
  );

  it('forks where the template leaves out earlier thinking, unless it is to be kept', () => {
    const steps: Step[] = [
      { sampled: '<think>\nhm\n</think>\n\nA.<|im_end|>', added: [{ role: 'user', content: 'b?' }] },
      { sampled: 'B.<|im_end|>', added: [{ role: 'user', content: 'c?' }] },
      { sampled: '<think>\n\n</think>\n\nC.<|im_end|>', added: [{ role: 'user', content: 'd?' }] },
    ];
    const kept = steps.slice(0, 2);
    expect(converse(tokenizerOf('qwen3'), kept)).toEqual({
      forks: ['template-drops-thinking', null],
      text: '<|im_start|>user\nhello?<|im_end|>\n<|im_start|>assistant\nA.<|im_end|>\n<|im_start|>user\nb?<|im_end|>\n<|im_start|>assistant\nB.<|im_end|>\n<|im_start|>user\nc?<|im_end|>\n<|im_start|>assistant\n',
    });
    expect(converse(tokenizerOf('qwen3'), steps).forks).toEqual([
      'template-drops-thinking',
      null,
      'template-drops-thinking',
    ]);
    expect(converse(tokenizerOf('qwen3'), kept, { keepThinking: true })).toEqual({
      forks: [null, null],
      text: '<|im_start|>user\nhello?<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\nA.<|im_end|>\n<|im_start|>user\nb?<|im_end|>\n<|im_start|>assistant\nB.<|im_end|>\n<|im_start|>user\nc?<|im_end|>\n<|im_start|>assistant\n',
    });
  });

  it('forks at a question behind turns of a tool whose thinking goes', () => {
    const steps: Step[] = [
      { sampled: `<think>\nhm\n</think>\n\n${tagged}<|im_end|>`, added: answered('2') },
      { sampled: 'Two.<|im_end|>', added: [{ role: 'user', content: 'b?' }] },
    ];
    expect(converse(tokenizerOf('qwen3'), steps, { tools }).forks).toEqual([null, 'template-drops-thinking']);
    expect(converse(tokenizerOf('qwen3'), steps, { tools, keepThinking: true }).forks).toEqual([null, null]);
  });

  it.each([
    [
      'template-rewrites-history',
      '{% for m in messages %}{{ loop.length }}{{ m.content }}<|im_end|>{% endfor %}',
    ],
    [
      'template-depends-on-answer',
      "{% for m in messages %}{{ m.content }}<|im_end|>{% if m.role == 'assistant' %}{{ m.content | length }}{% endif %}{% endfor %}",
    ],
    ['no-turn-end', '{% for m in messages %}{{ m.content }}\n{% endfor %}'],
  ] as const)('forks by %s', (reason, template) => {
    const steps = [{ sampled: 'hello<|im_end|>', added: [asked] }];
    expect(converse(chatTokenizer(template), steps, { keepThinking: true }).forks).toEqual([reason]);
  });

  it('forks where the answer ended by another token than the template writes', () => {
    const steps = [{ sampled: 'hello<|endoftext|>', added: [asked] }];
    expect(converse(tokenizerOf('qwen2.5'), steps).forks).toEqual(['other-turn-end']);
  });

  it('forks where the end of the answer and what follows make one token', () => {
    // An end token that is an ordinary piece of text.
    const tokenizer = chatTokenizer(TEMPLATES.smollm2.replaceAll('<|im_end|>\\n', 'hello'));
    const hello = tokenizer.encode('he');
    const ended: Tokenizer = { ...tokenizer, endTokenIds: hello };
    expect(converse(ended, [{ sampled: 'x', added: [asked] }]).forks).toEqual(['tokens-merge']);
  });
});
