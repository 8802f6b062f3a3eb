import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { ChatMessage } from '@forge/contracts';
import { renderChat } from '../chat/render-chat';
import { readModelFiles, type ModelFiles } from './model-files';
import { createTokenizer } from './tokenizer';

const shared = path.resolve(__dirname, '../../../../../shared');
const stories = path.join(shared, 'models/stories260k');
const questions = path.join(shared, 'data/gsm8k');
const describeWithStories = existsSync(stories) ? describe : describe.skip;
const itWithQuestions = existsSync(questions) ? it : it.skip;

const filesOf = (files: Record<string, object>): ModelFiles =>
  new Map(Object.entries(files).map(([name, json]) => [name, Buffer.from(JSON.stringify(json))]));

/** The printable stand-ins that byte-level BPE uses for the 256 bytes (GPT-2's table). */
function byteAlphabet(): string[] {
  const printable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

const special = (id: number, content: string): object => ({
  id,
  content,
  special: true,
  normalized: false,
  single_word: false,
  lstrip: false,
  rstrip: false,
});
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
const vocab = Object.fromEntries([...byteAlphabet(), 'he', 'll'].map((token, id) => [token, id]));
const tokenizerJson = {
  version: '1.0',
  added_tokens: [special(258, '<|end|>'), special(259, '<|user|>')],
  normalizer: null,
  pre_tokenizer: byteLevel,
  post_processor: null,
  decoder: byteLevel,
  model: { type: 'BPE', vocab, merges: ['h e', 'l l'], unk_token: null },
};
const template =
  "{% for m in messages %}<|user|>{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}\n{% endfor %}" +
  '{% if add_generation_prompt %}{% if strftime_now is defined %}{{ strftime_now("%Y") }}{% endif %}>{% endif %}';
const chat = {
  'config.json': {},
  'tokenizer.json': tokenizerJson,
  'tokenizer_config.json': { eos_token: { content: '<|end|>' }, chat_template: template },
};
const make = (changes: Record<string, object> = {}, rows = 260) =>
  createTokenizer(filesOf({ ...chat, ...changes }), 'm', { embeddingRows: rows });
const refusal = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

describe('a byte-level tokenizer', () => {
  it('merges and splits as its tables say', () => {
    expect(make().encode('hello<|end|>')).toEqual([256, 257, vocab['o'], 258]);
    expect(make().vocabSize).toBe(260);
  });

  it('gives any text back', () => {
    const tokenizer = make();
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  it('leaves spaces before punctuation alone', () => {
    const tokenizer = make();
    expect(tokenizer.decode(tokenizer.encode(" don 't , 1 . 5 ?"))).toBe(" don 't , 1 . 5 ?");
  });

  it('shows special tokens on request and skips ids without a token', () => {
    const tokenizer = make({}, 300);
    expect(tokenizer.decode([256, 258, 299])).toBe('he');
    expect(tokenizer.decode([256, 258, 299], { skipSpecialTokens: false })).toBe('he<|end|>');
    expect(tokenizer.decode([258])).toBe('');
    expect(tokenizer.decode([])).toBe('');
  });
});

describe('end tokens', () => {
  it('are all that the three files name', () => {
    const tokenizer = make({
      'generation_config.json': { eos_token_id: [256, 257] },
      'config.json': { eos_token_id: 257 },
    });
    expect(tokenizer.endTokenIds).toEqual([256, 257, 258]);
  });

  it.each<[Record<string, object>, string]>([
    [
      { 'tokenizer_config.json': {} },
      'found no end token, expected eos_token_id in generation_config.json or',
    ],
    [
      { 'tokenizer_config.json': { eos_token: '</s>' } },
      'm/tokenizer_config.json: eos_token: found "</s>", expected',
    ],
    [
      { 'config.json': { eos_token_id: 400 } },
      'm/config.json: eos_token_id: found 400, expected a token id of',
    ],
    [
      { 'generation_config.json': { eos_token_id: ['a'] } },
      'm/generation_config.json: eos_token_id: found "a"',
    ],
  ])('are refused when %j', (changes, message) => {
    expect(refusal(() => make(changes))).toMatchObject({
      code: 'CONFIG_TOKENIZER_INVALID',
      message: expect.stringContaining(message),
    });
  });
});

describe('a begin token', () => {
  const withBegin = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<|user|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<|user|>': { id: '<|user|>', ids: [259], tokens: ['<|user|>'] } },
  };
  const encode = (postProcessor: object | null, flag: boolean | undefined, text: string) =>
    make({
      'tokenizer.json': { ...tokenizerJson, post_processor: postProcessor },
      'tokenizer_config.json': { bos_token: '<|user|>', eos_token: '<|end|>', add_bos_token: flag },
    }).encode(text);

  it.each<[string, object | null, boolean | undefined, number[]]>([
    ['comes from the post-processor', withBegin, undefined, [259, 256]],
    ['is absent without one', null, undefined, [256]],
    ['is added by add_bos_token', null, true, [259, 256]],
    ['is added once', withBegin, true, [259, 256]],
    ['is left out by add_bos_token false', withBegin, false, [256]],
  ])('%s', (_, postProcessor, flag, expected) => {
    expect(encode(postProcessor, flag, 'he')).toEqual(expected);
  });

  it('that stands in the text stays with add_bos_token false', () => {
    expect(encode(null, false, '<|user|>he')).toEqual([259, 256]);
  });
});

describe('a prompt that the model has no room for', () => {
  const long = `<|${'long'.repeat(12)}|>`;
  const json = { ...tokenizerJson, added_tokens: [special(258, '<|end|>'), special(259, long)] };
  const files = filesOf({ ...chat, 'tokenizer.json': json });
  const tokenizer = createTokenizer(files, 'm', { embeddingRows: 260, maxPositions: 512 });

  it('is read only until that is sure', () => {
    const words = 'ab '.repeat(100_000);
    expect(tokenizer.encodePrompt(words)).toEqual(tokenizer.encode(words.slice(0, 8192)));
    expect(tokenizer.renderPrompt(words).tokenIds).toHaveLength(8192);
    const { length } = renderChat(tokenizer, { messages: [{ role: 'user', content: words }] });
    expect(length).toBeLessThanOrEqual(8192);
    expect(length).toBeGreaterThan(512);
  });

  it('is none because of its characters alone', () => {
    const text = long.repeat(300);
    expect(text.length).toBeGreaterThan(8192);
    expect(tokenizer.encodePrompt(text)).toEqual(Array(300).fill(259));
  });

  it('is read as a whole with its answer, whose end may be what counts', () => {
    expect(tokenizer.renderAnswered('a'.repeat(9_000), 'b').tokenIds).toHaveLength(9_001);
  });
});

describe('renderAnswered', () => {
  it('refuses token ids, which are those of another tokenizer', () => {
    expect(() => make().renderAnswered({ tokenIds: [256] }, 'he')).toThrow(
      'found a prompt of token ids, expected a text or messages',
    );
  });

  it('puts the answer behind a text, with what the tokenizer adds to texts', () => {
    expect(make().renderAnswered('he', 'hehe')).toEqual({ text: 'hehehe', tokenIds: [256, 256, 256] });
  });

  it('makes it the last message of a chat, and asks for no other', () => {
    const { text, tokenIds } = make().renderAnswered([{ role: 'user', content: 'a' }], 'b');
    expect(text).toBe('<|user|>user: a<|end|>\n<|user|>assistant: b<|end|>\n');
    expect(make().decode(tokenIds, { skipSpecialTokens: false })).toBe(text);
    expect(tokenIds[0]).toBe(259);
  });
});

describe('renderPrompt', () => {
  it('gives token ids as they are, with their text', () => {
    expect(make().renderPrompt({ tokenIds: [256, 257, 258] })).toEqual({
      text: 'hell<|end|>',
      tokenIds: [256, 257, 258],
    });
  });

  it('gives text as it is', () => {
    expect(make().renderPrompt('hehe')).toEqual({ text: 'hehe', tokenIds: [256, 256] });
  });

  it('puts messages through the chat template, with the same result on any day', () => {
    const { text, tokenIds } = make().renderPrompt([
      { role: 'system', content: 'a' },
      { role: 'user', content: 'b' },
    ]);
    expect(text).toBe('<|user|>system: a<|end|>\n<|user|>user: b<|end|>\n>');
    expect(make().decode(tokenIds, { skipSpecialTokens: false })).toBe(text);
    expect(tokenIds[0]).toBe(259);
  });

  it('prefers chat_template.jinja, and of several templates the default', () => {
    const messages = [{ role: 'user' as const, content: 'b' }];
    const several = [
      { name: 'tool', template: 'T' },
      { name: 'default', template: 'D' },
    ];
    const files = filesOf({
      ...chat,
      'tokenizer_config.json': { eos_token: '<|end|>', chat_template: several },
    });
    expect(createTokenizer(files, 'm', { embeddingRows: 260 }).renderPrompt(messages).text).toBe('D');
    const withFile = new Map([...files, ['chat_template.jinja', Buffer.from('J')]]);
    expect(createTokenizer(withFile, 'm', { embeddingRows: 260 }).renderPrompt(messages).text).toBe('J');
  });

  it.each<[string, object, string, string]>([
    ['there is no template', { eos_token: '<|end|>' }, 'CONFIG_TOKENIZER_INVALID', 'found no chat_template'],
    [
      'the template does not parse',
      { eos_token: '<|end|>', chat_template: '{% for %}' },
      'CONFIG_TOKENIZER_INVALID',
      'the chat template does not parse',
    ],
    [
      'the template refuses the messages',
      { eos_token: '<|end|>', chat_template: "{{ raise_exception('roles must alternate') }}" },
      'CONFIG_DATASET_INVALID',
      'messages refused by the chat template of m: roles must alternate',
    ],
    [
      'the template calls what is not there',
      { eos_token: '<|end|>', chat_template: "{{ yesterday('%Y') }}" },
      'CONFIG_TOKENIZER_INVALID',
      'm: the chat template has yesterday(), which is not supported',
    ],
    [
      'the template needs a date and none is set',
      { eos_token: '<|end|>', chat_template: "{{ strftime_now('%Y') }}" },
      'CONFIG_TOKENIZER_INVALID',
      'm: the chat template has strftime_now(), but no date is set',
    ],
    [
      'no template is the default',
      { eos_token: '<|end|>', chat_template: [{ name: 'tool', template: 'T' }] },
      'CONFIG_TOKENIZER_INVALID',
      'm/tokenizer_config.json: chat_template: found tool, expected text, or several templates of which one',
    ],
  ])('says so when %s', (_, config, code, message) => {
    const renderPrompt = (): unknown =>
      make({ 'tokenizer_config.json': config }).renderPrompt([{ role: 'user', content: 'b' }]);
    expect(refusal(renderPrompt)).toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  it('tells a template that asks for the date the one that is set', () => {
    const source = "{{ strftime_now('%d %B %Y') }}{% for m in messages %}|{{ m.content }}{% endfor %}";
    const files = filesOf({
      ...chat,
      'tokenizer_config.json': { eos_token: '<|end|>', chat_template: source },
    });
    const tokenizer = createTokenizer(files, 'm', { embeddingRows: 260, date: '2025-03-07' });
    expect(tokenizer.renderPrompt([{ role: 'user', content: 'b' }]).text).toBe('07 March 2025|b');
  });

  it('tells a template that there are no tools, and the tokens of each role', () => {
    const chat_template = '{{ tools is none }} {{ pad_token }} {{ image_token }} {{ cls_token is defined }}';
    const config = { eos_token: '<|end|>', pad_token: '<|user|>', image_token: '<|end|>', chat_template };
    const { text } = make({ 'tokenizer_config.json': config }).renderPrompt([{ role: 'user', content: 'b' }]);
    expect(text).toBe('True <|user|> <|end|> False');
  });

  describe('with tools', () => {
    const tools = [{ name: 'add', description: 'Adds.', parameters: { type: 'object' } }];
    const messages: ChatMessage[] = [
      { role: 'user', content: 'b', name: 'eve' },
      {
        role: 'assistant',
        content: '',
        reasoning: 'Hm.',
        toolCalls: [{ id: 'c1', name: 'add', arguments: { a: [1, 'x'] } }],
      },
      { role: 'tool', content: '2', toolCallId: 'c1', name: 'add' },
    ];
    const templateOf = (chat_template: string) =>
      make({ 'tokenizer_config.json': { eos_token: '<|end|>', chat_template } }).chatTemplate;

    it('gives a template the fields of transformers', () => {
      const source =
        '{{ tools | tojson }}{% for m in messages %}{{ "\\n" + (m | tojson) }}{% endfor %}' +
        "{% if false %}{{ m.reasoning_content }}{{ m.tool_calls }}'tool'<tool_call>{% endif %}";
      expect(templateOf(source).render(messages, tools).split('\n')).toEqual([
        '[{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}]',
        '{"role": "user", "content": "b", "name": "eve"}',
        '{"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [{"type": "function", "id": "c1", "function": {"name": "add", "arguments": {"a": [1, "x"]}}}]}',
        '{"role": "tool", "content": "2", "tool_call_id": "c1", "name": "add"}',
      ]);
    });

    it('loses nothing in a template that knows roles and contents only', () => {
      const source = '{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}';
      expect(templateOf(source).render(messages)).toBe(
        '[user]b\n[assistant]<think>\nHm.\n</think>\n\n<tool_call>\n{"name": "add", "arguments": {"a": [1, "x"]}}\n</tool_call>\n[user]<tool_response>\n2\n</tool_response>\n',
      );
      const ruled: ChatMessage[] = [{ role: 'system', content: 'Be brief.' }, messages[0]!];
      expect(templateOf(source).render(ruled, tools)).toMatch(
        /^\[system\]Be brief\.\n\nThese tools can be called:\n<tools>\n\{"type": "function", .*\n<\/tools>\n[^[]*\[user\]b\n$/,
      );
    });

    it('refuses a template whose calls it could not read', () => {
      const template = templateOf('{{ tools }}{{ messages[0].content }}[TOOL_CALLS]');
      expect(template.render(messages.slice(0, 1))).toBe('Noneb[TOOL_CALLS]');
      expect(refusal(() => template.render(messages, tools))).toMatchObject({
        code: 'CONFIG_TOKENIZER_INVALID',
        message: expect.stringContaining(
          'm: the chat template tells of tools, and has calls of them in a form',
        ),
      });
    });
  });

  it('refuses a prompt without tokens', () => {
    expect(refusal(() => make().renderPrompt(''))).toMatchObject({ code: 'CONFIG_DATASET_INVALID' });
  });
});

describe('a file that is not UTF-8', () => {
  const latin = Buffer.from('{"chat_template": "caf\u00e9"}', 'latin1');

  it.each(['chat_template.jinja', 'tokenizer_config.json', 'special_tokens_map.json'])(
    '%s is refused',
    (name) => {
      const files = new Map([...filesOf(chat), [name, latin]]);
      expect(refusal(() => createTokenizer(files, 'm', { embeddingRows: 260 }))).toMatchObject({
        code: 'CONFIG_INVALID',
        message: `m/${name}: found byte 0xe9 at offset 22, expected UTF-8; save the file as UTF-8`,
      });
    },
  );

  it('may hold the character that stands for invalid bytes', () => {
    const files = new Map([...filesOf(chat), ['chat_template.jinja', Buffer.from('a\ufffdb')]]);
    const tokenizer = createTokenizer(files, 'm', { embeddingRows: 260 });
    expect(tokenizer.renderPrompt([{ role: 'user', content: 'b' }]).text).toBe('a\ufffdb');
  });
});

describe('a tokenizer.json at fault', () => {
  it('has more tokens than the embedding has rows', () => {
    expect(refusal(() => make({}, 259))).toMatchObject({
      code: 'CONFIG_TOKENIZER_INVALID',
      message:
        'm/tokenizer.json: vocabulary: found 260 tokens, expected at most vocab_size 259 of config.json',
    });
  });

  it.each([
    [{}],
    [{ ...tokenizerJson, model: { type: 'Nonsense' } }],
    [{ ...tokenizerJson, added_tokens: null }],
  ])('is not a tokenizer', (json) => {
    expect(refusal(() => make({ 'tokenizer.json': json }))).toMatchObject({
      code: 'CONFIG_TOKENIZER_INVALID',
      message: expect.stringContaining('m/tokenizer.json: '),
    });
  });
});

describeWithStories('the tokenizer of stories260k', () => {
  const open = async () => createTokenizer(await readModelFiles(stories), stories, { embeddingRows: 512 });

  it('encodes the golden text to the golden ids and back', async () => {
    const golden = JSON.parse(readFileSync(path.join(stories, 'greedy.json'), 'utf8')) as {
      token_ids: number[];
      text: string;
    };
    const tokenizer = await open();
    expect(tokenizer.encode(golden.text)).toEqual(golden.token_ids);
    expect(tokenizer.decode(golden.token_ids)).toBe(golden.text);
    expect(tokenizer.renderPrompt('')).toEqual({ text: '', tokenIds: [1] });
    expect(tokenizer.endTokenIds).toEqual([2]);
  });

  it('falls back to bytes for what its vocabulary lacks, byte order marks included', async () => {
    const tokenizer = await open();
    for (const text of ['é😀', '\ufeffa', 'a\ufeffb', '  two  spaces ', 'a\0b\n\tc', '<0x41>']) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });

  itWithQuestions('gives every GSM8K question back', async () => {
    const tokenizer = await open();
    const texts = ['train', 'test'].flatMap((part) =>
      readFileSync(path.join(questions, `${part}.jsonl`), 'utf8')
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { question: string }).question),
    );
    expect(texts).toHaveLength(8792);
    expect(texts.filter((text) => tokenizer.decode(tokenizer.encode(text)) !== text)).toEqual([]);
  });
});
