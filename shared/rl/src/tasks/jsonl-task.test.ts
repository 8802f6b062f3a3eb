import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { parseAmount } from '../rewards/math-reward';
import { jsonlTask, type JsonlTaskOptions } from './jsonl-task';

const line = (question: unknown, answer?: unknown) => JSON.stringify({ question, answer });
const options: JsonlTaskOptions = {
  path: 'data.jsonl',
  promptField: 'question',
  answerField: 'answer',
  seed: 1,
};
const lines = Array.from({ length: 20 }, (_, i) => line(`q${i}`, `work ${i}\n#### ${i}`));
const range = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('jsonlTask', () => {
  it('takes prompts, and answers by the pattern', () => {
    const task = jsonlTask([line('How many?', 'Six times seven.\n#### 42'), ''], {
      ...options,
      answerPattern: '#### (.+)$',
    });
    expect(task.size).toBe(1);
    expect(task.sample(5)).toEqual({ id: 'data.jsonl:1', prompt: 'How many?', answer: '42' });
    expect(task.supervised!(0)).toEqual({ prompt: 'How many?', completion: 'Six times seven.\n#### 42' });
    expect(task.heldOut).toEqual([]);
  });

  it('needs no answers', () => {
    const task = jsonlTask(['{"question":"Why?"}'], { ...options, answerField: undefined });
    expect(task.sample(0)).toEqual({ id: 'data.jsonl:1', prompt: 'Why?' });
    expect(task.supervised).toBeUndefined();
  });

  it('makes chats of prompts when there is a system prompt', () => {
    const task = jsonlTask([line('Why?', 'Because.')], { ...options, systemPrompt: 'Be brief.' });
    expect(task.sample(0).prompt).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Why?' },
    ]);
  });

  describe('of messages', () => {
    const asked = { role: 'user', content: 'Why?' };
    const ruled = { role: 'system', content: 'Be kind.' };
    const promptOf = (messages: unknown, systemPrompt?: string) =>
      jsonlTask([line(messages, 'a')], { ...options, systemPrompt }).sample(0).prompt;

    it('leaves them as they are', () => {
      expect(promptOf([asked])).toEqual([asked]);
      const turns = [ruled, asked, { role: 'assistant', content: 'How so?' }, asked];
      expect(promptOf(turns)).toEqual(turns);
    });

    it('puts the system prompt in front where there is none', () => {
      expect(promptOf([asked], 'Be brief.')).toEqual([{ role: 'system', content: 'Be brief.' }, asked]);
      expect(promptOf([ruled, asked], 'Be brief.')).toEqual([ruled, asked]);
    });

    it('joins the texts of parts, and passes over keys that are null', () => {
      const parts = [
        { type: 'text', text: 'Wh' },
        { type: 'text', text: 'y?' },
      ];
      expect(promptOf([{ role: 'user', content: parts, name: null }])).toEqual([asked]);
    });

    it('takes calls of tools and thinking by the names of other libraries', () => {
      const call = { id: 'c7', type: 'function', function: { name: 'add', arguments: '{"a": 1}' } };
      const turns = [
        asked,
        { role: 'assistant', content: null, reasoning_content: 'Hm.', tool_calls: [call] },
        { role: 'tool', content: '2', tool_call_id: 'c7', name: 'add' },
        { role: 'assistant', content: 'More.', tool_calls: [{ name: 'add', arguments: { a: 2 } }] },
        { role: 'tool', content: '3' },
      ];
      expect(promptOf(turns)).toEqual([
        asked,
        {
          role: 'assistant',
          content: '',
          reasoning: 'Hm.',
          toolCalls: [{ id: 'c7', name: 'add', arguments: { a: 1 } }],
        },
        { role: 'tool', content: '2', toolCallId: 'c7', name: 'add' },
        {
          role: 'assistant',
          content: 'More.',
          toolCalls: [{ id: 'call-0', name: 'add', arguments: { a: 2 } }],
        },
        { role: 'tool', content: '3' },
      ]);
    });

    it('knows a held-out question again, whatever form it has', () => {
      const held = { path: 'test.jsonl', lines: [line([ruled, asked], 'a')] };
      const training = [line('Why?', 'a'), line([asked], 'a'), line([asked, asked], 'a')];
      expect(jsonlTask(training, { ...options, heldOutFiles: [held] }).size).toBe(1);
    });
  });

  describe('of nested fields', () => {
    const record = {
      messages: [
        { role: 'user', content: 'Why?' },
        { role: 'assistant', content: 'So.' },
      ],
      answer: { value: 0.5, 'unit.name': 'm' },
      'a.b': 'plain',
      a: { b: 'nested' },
    };
    const at = (promptField: string, answerField: string) =>
      jsonlTask([JSON.stringify(record)], { ...options, promptField, answerField }).sample(0);

    it('follows the dots, into lists too, unless a field has just that name', () => {
      expect(at('messages.0.content', 'messages.1.content')).toMatchObject({ prompt: 'Why?', answer: 'So.' });
      expect(at('a.b', 'answer.value')).toMatchObject({ prompt: 'plain', answer: '0.5' });
    });

    it('names what there is where the way ends', () => {
      expect(() => at('answer.text', 'a')).toThrow(
        "data.jsonl:1: field 'answer.text': found no such field (fields of 'answer': value, unit.name), expected a text",
      );
      expect(() => at('messages.2.content', 'a')).toThrow("(fields of 'messages': 0, 1)");
      expect(() => at('a.b.c', 'a')).toThrow('(a.b is "nested")');
      expect(() => at('messages.length', 'a')).toThrow("field 'messages.length': found 2");
    });
  });

  it.each([
    [42, '42'],
    [-0.5, '-0.5'],
    [0, '0'],
    [true, 'true'],
    [false, 'false'],
  ])('takes %p for an answer', (value, answer) => {
    const task = jsonlTask([line('x', value)], options);
    expect([task.sample(0).answer, task.supervised!(0).completion]).toEqual([answer, answer]);
  });

  it('never trains on a held-out prompt, holds out the same for every seed, and more include fewer', () => {
    const repeated = [...lines, ...lines.slice(0, 10)];
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.integer({ min: 0, max: 15 }),
        (seed, heldOut) => {
          const task = jsonlTask(repeated, { ...options, heldOut, seed });
          const held = task.heldOut.map(({ prompt }) => prompt);
          expect(held).toHaveLength(heldOut);
          const trained = new Set(range(task.size).map((i) => task.sample(i).prompt));
          expect(held.filter((prompt) => trained.has(prompt))).toEqual([]);
          expect(trained.size + new Set(held).size).toBe(20);
          const more = jsonlTask(repeated, { ...options, heldOut: heldOut + 1, seed: seed + 1 }).heldOut;
          expect(more.slice(0, heldOut).map(({ prompt }) => prompt)).toEqual(held);
        },
      ),
    );
  });

  it('takes held-out samples from a file of their own, and drops their prompts from training', () => {
    const task = jsonlTask(lines, {
      ...options,
      heldOutFiles: [{ path: 'test.jsonl', lines: [line('q3', '3'), line('new', '0')] }],
    });
    expect(task.heldOut.map(({ id }) => id)).toEqual(['test.jsonl:1', 'test.jsonl:2']);
    expect(task.size).toBe(19);
  });

  it.each<[string, string, string]>([
    ['{"question": ', 'data.jsonl:3: found ', 'expected a JSON object'],
    ['[1]', 'data.jsonl:3: found [1]', 'expected a JSON object'],
    ['null', 'data.jsonl:3: found null', 'expected a JSON object'],
    [
      '{"prompt":"x"}',
      "data.jsonl:3: field 'question': found no such field (fields: prompt)",
      'expected a text or a list of messages',
    ],
    ['{}', "field 'question': found no such field (fields: none)", 'expected a text'],
    [line(7, 'a'), "field 'question': found 7", 'expected a non-empty text'],
    [line(' ', 'a'), `field 'question': found " "`, 'expected a non-empty text'],
    [line('x', null), "field 'answer': found null", 'expected a non-empty text, a number, true or false'],
    [line('x', ['a']), `field 'answer': found ["a"]`, 'expected a non-empty text, a number, true or false'],
    [
      '{"question":"x","answer":12345678901234567890}',
      "field 'answer': found 12345678901234567000, which programs round",
      'as a text',
    ],
    [line([], 'a'), "field 'question': found []", 'a list of messages { role, content }'],
    [line(['hi'], 'a'), `field 'question.0': found "hi"`, 'a message { role, content }'],
    [
      line([{ from: 'human', value: 'hi' }], 'a'),
      "field 'question.0.role': found none",
      'one of system, user, assistant, tool',
    ],
    [line([{ role: 'user' }], 'a'), "field 'question.0.content': found none", 'a text'],
    [
      line([{ role: 'user', content: [{ type: 'image_url' }] }], 'a'),
      "field 'question.0.content': found [{",
      'a text',
    ],
    [
      line([{ role: 'user', content: 'hi', tool_calls: [1] }], 'a'),
      "field 'question.0.tool_calls': found [1]",
      'it in messages of the assistant only',
    ],
    [
      line([{ role: 'user', content: 'hi', audio: 'x' }], 'a'),
      `field 'question.0.audio': found "x"`,
      'role, content, tool_call_id, name, reasoning_content, tool_calls only',
    ],
    [
      line([{ role: 'assistant', tool_calls: [{ function: { name: 'add', arguments: '{' } }] }], 'a'),
      `field 'question.0.tool_calls.0': found {"function":{"name":"add","arguments":"{"}}`,
      'with an object of arguments',
    ],
    [
      line([{ role: 'assistant', content: '', tool_calls: 1 }], 'a'),
      "field 'question.0.tool_calls': found 1",
      'a list of calls',
    ],
    [
      line(
        [
          { role: 'user', content: 'hi' },
          { role: 'assistant', content: '#### 1' },
        ],
        'a',
      ),
      "field 'question': found a last message of the assistant",
      'as question.0.content',
    ],
    [line('x', 'no mark'), `field 'answer': found "no mark"`, 'expected a match of /#### (.+)$/'],
  ])('names file, line and field of %j', (bad, found, expected) => {
    const run = () => jsonlTask([lines[0]!, '', bad], { ...options, answerPattern: '#### (.+)$' });
    expect(run).toThrow(expect.objectContaining({ code: 'CONFIG_DATASET_INVALID' }));
    expect(run).toThrow(found);
    expect(run).toThrow(expected);
  });

  it('does not take a field from the prototype', () => {
    expect(() => jsonlTask(['{}'], { ...options, promptField: 'toString' })).toThrow('no such field');
  });

  it('refuses a file that leaves nothing to train on', () => {
    expect(() => jsonlTask([''], options)).toThrow('data.jsonl: found no samples');
    expect(() => jsonlTask(lines, { ...options, heldOut: 20 })).toThrow('all 20 samples are held out');
  });

  it('refuses a pattern that is no regular expression', () => {
    expect(() => jsonlTask(lines, { ...options, answerPattern: '(' })).toThrow('task.answerPattern');
  });
});

const gsm8k = path.join(__dirname, '../../../../../shared/data/gsm8k');
const describeIf = existsSync(gsm8k) ? describe : describe.skip;

describeIf('GSM8K (skipped where ../shared/data/gsm8k is absent)', () => {
  const read = (name: string) => ({
    path: name,
    lines: readFileSync(path.join(gsm8k, name), 'utf8').split('\n'),
  });

  it('has a number as the answer of every problem, and trains on none of the test questions', () => {
    const train = read('train.jsonl');
    const task = jsonlTask(train.lines, {
      ...options,
      path: train.path,
      answerPattern: '#### (.+)$',
      heldOutFiles: [read('test.jsonl')],
    });
    expect(task.heldOut).toHaveLength(1319);
    expect(task.heldOut[0]).toMatchObject({ id: 'test.jsonl:1', answer: '18' });
    expect(task.size).toBe(7473);
    const samples = range(task.size).map(task.sample);
    expect(new Set(samples.map(({ id }) => id)).size).toBe(7473);
    expect([...samples, ...task.heldOut].filter(({ answer }) => parseAmount(answer!) === null)).toEqual([]);
  });

  it('names the difficulty of training samples by a field', () => {
    const graded = [1, 2, 'hard', true].map((level, i) => JSON.stringify({ question: `q${i}`, level }));
    const held = [{ path: 'test.jsonl', lines: ['{"question":"q9"}'] }];
    const difficult = { ...options, answerField: undefined, difficultyField: 'level', heldOutFiles: held };
    const task = jsonlTask(graded, difficult);
    const named = range(4).map((i) => [task.sample(i).id, task.difficulty!(i)]);
    expect(Object.fromEntries(named)).toEqual({
      'data.jsonl:1': '1',
      'data.jsonl:2': '2',
      'data.jsonl:3': 'hard',
      'data.jsonl:4': 'true',
    });
    expect(jsonlTask(lines, options).difficulty).toBeUndefined();
  });

  it('refuses a difficulty that is missing, no name, or different for every sample', () => {
    const difficult = { ...options, difficultyField: 'level' };
    expect(() => jsonlTask([line('q', 'a')], difficult)).toThrow(
      "data.jsonl:1: field 'level': found no such field (fields: question, answer), expected a text of at most 100",
    );
    const list = JSON.stringify({ question: 'q', answer: 'a', level: [1] });
    expect(() => jsonlTask([list], difficult)).toThrow(
      "field 'level': found [1], expected a text of at most",
    );
    const own = range(257).map((i) => JSON.stringify({ question: `q${i}`, answer: 'a', level: i }));
    expect(() => jsonlTask(own, difficult)).toThrow(
      "field 'level' of task.curriculum.field: found 257 different values, expected at most 256",
    );
  });
});
