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
      heldOutFile: { path: 'test.jsonl', lines: [line('q3', '3'), line('new', '0')] },
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
      'expected a text',
    ],
    ['{}', "field 'question': found no such field (fields: none)", 'expected a text'],
    [line(7, 'a'), "field 'question': found 7", 'expected a non-empty text'],
    [line(' ', 'a'), `field 'question': found " "`, 'expected a non-empty text'],
    [line('x', null), "field 'answer': found null", 'expected a non-empty text'],
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
      heldOutFile: read('test.jsonl'),
    });
    expect(task.heldOut).toHaveLength(1319);
    expect(task.heldOut[0]).toMatchObject({ id: 'test.jsonl:1', answer: '18' });
    expect(task.size).toBe(7473);
    const samples = range(task.size).map(task.sample);
    expect(new Set(samples.map(({ id }) => id)).size).toBe(7473);
    expect([...samples, ...task.heldOut].filter(({ answer }) => parseAmount(answer!) === null)).toEqual([]);
  });
});
