import { createTokenizer, type Tokenizer } from '../hugging-face/tokenizer';

/** Templates that do with messages what those of released models do, in few words. */
export const TEMPLATES = {
  'qwen2.5': `
{%- if tools or messages[0].role == 'system' %}
  {{- '<|im_start|>system\\n' }}
  {%- if messages[0].role == 'system' %}{{- messages[0].content }}{%- endif %}
  {%- for tool in tools or [] %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
  {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
  {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
  {%- elif message.role == 'assistant' %}
    {{- '<|im_start|>assistant' }}
    {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
    {%- for call in message.tool_calls or [] %}
      {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
  {%- elif message.role == 'tool' %}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
    {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`,
  /** Keeps the thinking behind the last question of the user, and of an answer that is the last message even an empty one. */
  qwen3: `
{%- for tool in tools or [] %}{{- (tool | tojson) + '\\n' }}{%- endfor %}
{%- set seen = namespace(question=-1) %}
{%- for message in messages %}
  {%- if message.role == 'user' %}{%- set seen.question = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
  {%- if message.role == 'assistant' %}
    {%- set thoughts = message.reasoning_content if message.reasoning_content is string else '' %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if loop.index0 > seen.question and (loop.last or thoughts) %}
      {{- '<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- message.content }}
    {%- for call in message.tool_calls or [] %}
      {{- '<tool_call>\\n' + (call.function | tojson) + '\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
  {%- else %}
    {{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' + message.content + '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`,
  /** Calls as XML; the assistant begins in the middle of its thinking. */
  'qwen3-coder': `
{%- for tool in tools or [] %}{{- (tool | tojson) + '\\n' }}{%- endfor %}
{%- for message in messages %}
  {%- if message.role == 'assistant' %}
    {{- '<|im_start|>assistant\\n<think>\\n' + (message.reasoning_content or '') + '\\n</think>\\n\\n' + message.content }}
    {%- for call in message.tool_calls or [] %}
      {{- '<tool_call>\\n<function=' + call.function.name + '>\\n' }}
      {%- for key, value in call.function.arguments | items %}
        {{- '<parameter=' + key + '>\\n' + (value | string) + '\\n</parameter>\\n' }}
      {%- endfor %}
      {{- '</function>\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
  {%- else %}
    {{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' + message.content + '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}`,
  'llama3.1': `
{{- bos_token }}
{%- if tools is not none %}
  {{- '<|start_header_id|>system<|end_header_id|>\\n\\nEnvironment: ipython\\n' }}
  {%- for tool in tools or [] %}{{- (tool | tojson) + '\\n' }}{%- endfor %}
  {{- 'Respond in the format {"name": function name, "parameters": arguments}.<|eot_id|>' }}
{%- endif %}
{%- for message in messages %}
  {%- if message.role == 'tool' %}
    {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + (message.content | tojson) + '<|eot_id|>' }}
  {%- elif 'tool_calls' in message %}
    {%- if message.tool_calls | length != 1 %}{{- raise_exception('one call at a time') }}{%- endif %}
    {%- set call = message.tool_calls[0].function %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + '}<|eot_id|>' }}
  {%- else %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + (message.content | trim) + '<|eot_id|>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}`,
  /** Knows neither tools nor thinking. */
  smollm2: `
{%- for message in messages %}
  {%- if loop.first and message.role != 'system' %}{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{%- endif %}
  {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`,
  /** Tells of tools, writes no calls of its own, and keeps thinking in the content. */
  smollm3: `
{{- '<|im_start|>system\\n' }}
{%- for tool in tools or [] %}{{- (tool | tojson) + '\\n' }}{%- endfor %}
{{- 'Call with <tool_call>{"name": ..., "arguments": ...}</tool_call>; think between <think> and </think>.<|im_end|>\\n' }}
{%- for message in messages %}
  {%- if message.role == 'tool' %}
    {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
  {%- else %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`,
} as const;

const SPECIAL = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|begin_of_text|>',
  '<|start_header_id|>',
  '<|end_header_id|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|python_tag|>',
];
/** Tokens that text is split at, and that are no special ones. */
const ADDED = ['<think>', '</think>', '<tool_call>', '</tool_call>'];

/** The printable stand-ins that byte-level BPE uses for the 256 bytes. */
function byteAlphabet(): string[] {
  const printable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

/** A tokenizer of bytes, with the template and its family's special tokens; three merges make text ambiguous. */
export function chatTokenizer(template: string): Tokenizer {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
  const merges = ['h e', 'l l', 'he ll'];
  const tokens = [...byteAlphabet(), ...merges.map((pair) => pair.replace(' ', ''))];
  const added = [...SPECIAL, ...ADDED].map((content, i) => ({
    ...{ id: tokens.length + i, content, special: i < SPECIAL.length },
    ...{ normalized: false, single_word: false, lstrip: false, rstrip: false },
  }));
  const idOf = (content: string): number => added.find((token) => token.content === content)!.id;
  const isLlama = template.includes('<|eot_id|>');
  const ends = isLlama ? ['<|eot_id|>', '<|eom_id|>'] : ['<|im_end|>', '<|endoftext|>'];
  const files = {
    'config.json': { eos_token_id: ends.map(idOf) },
    'tokenizer.json': {
      version: '1.0',
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
        unk_token: null,
      },
    },
    'tokenizer_config.json': {
      eos_token: ends[0],
      bos_token: '<|begin_of_text|>',
      chat_template: template,
    },
  };
  const bytes = Object.entries(files).map(
    ([name, json]) => [name, Buffer.from(JSON.stringify(json))] as const,
  );
  return createTokenizer(new Map(bytes), 'm', { embeddingRows: 300 });
}

export function tokenizerOf(name: keyof typeof TEMPLATES): Tokenizer {
  return chatTokenizer(TEMPLATES[name]);
}
