import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeSchema, type Recipe } from '@forge/config';
import type { Completion } from '@forge/contracts';
import { loadAlgorithm, loadRewards, loadTask, pinnedTask } from './load-parts';

const dir = mkdtempSync(join(tmpdir(), 'forge-parts-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

function write(name: string, text: string | Buffer): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

function recipe(parts: object): Recipe {
  return recipeSchema.parse({
    name: 'r',
    model: 'm',
    steps: 1,
    task: { kind: 'arithmetic' },
    algorithm: { name: 'grpo' },
    rewards: [{ name: 'exact' }],
    ...parts,
  });
}

const completion: Completion = {
  text: '19',
  promptTokenIds: [1],
  tokenIds: [2, 3],
  logprobs: [-1, -1],
  versions: [0, 0],
  stopReason: 'end',
};
const sample = { id: 's', prompt: '12+7=', answer: '19' };

describe('loadAlgorithm', () => {
  it('hands the options of the recipe to the built-in one', async () => {
    const plain = await loadAlgorithm(recipe({ algorithm: { name: 'grpo', normalizeByStd: false } }));
    expect(plain.advantage([1, 0], [])).toEqual([0.5, -0.5]);
    expect(plain.needsReference).toBe(false);
    const regularized = await loadAlgorithm(recipe({ algorithm: { name: 'grpo', klCoefficient: 0.1 } }));
    expect(regularized.needsReference).toBe(true);
    expect((await loadAlgorithm(recipe({ algorithm: { name: 'reinforce' } }))).name).toBe('reinforce');
  });

  it("makes the user's from its options", async () => {
    const module = write(
      'algorithm.ts',
      `import { defineAlgorithm, tokenMean } from '@forge/rl';
       import { neg } from '@forge/graph';
       export default ({ scale }: { scale: number }) => defineAlgorithm({
         name: 'mine',
         advantage: (rewards) => rewards.map((reward) => scale * reward),
         loss: (terms) => neg(tokenMean(terms.logprobs, terms)),
       });`,
    );
    const algorithm = await loadAlgorithm(recipe({ algorithm: { module, options: { scale: 3 } } }));
    expect([algorithm.name, algorithm.advantage([1, 2], [])]).toEqual(['mine', [3, 6]]);
  });

  it.each([
    [
      'throws.ts',
      "export default () => { throw new Error('no such option'); };",
      /factory of .*throws\.ts failed: no such option/,
    ],
    [
      'shape.ts',
      "export default { name: 'x' };",
      /shape\.ts: found no function 'rollout', expected an algorithm/,
    ],
  ])('refuses %s with the reason', async (name, text, message) => {
    const module = write(name, text);
    await expect(loadAlgorithm(recipe({ algorithm: { module } }))).rejects.toMatchObject({
      code: 'CONFIG_MODULE_UNLOADABLE',
      message,
    });
  });
});

describe('the loss of an algorithm', () => {
  it('is built before anything runs: an op without a gradient is named with the module', async () => {
    const module = write(
      'running-sum.ts',
      `import { defineAlgorithm, tokenMean } from '@forge/rl';
       import { cumsum } from '@forge/graph';
       export default defineAlgorithm({
         advantage: (rewards) => [...rewards],
         loss: (terms) => tokenMean(cumsum(terms.logprobs, 1), terms),
       });`,
    );
    await expect(loadAlgorithm(recipe({ algorithm: { module } }))).rejects.toMatchObject({
      code: 'CONFIG_LOSS_INVALID',
      message: /running-sum\.ts: its loss can't be trained: CumSum has no gradient; .*stopGradient/,
      details: { op: 'CumSum', path: module },
    });
  });
});

describe('loadRewards', () => {
  it("adds up built-in rewards and the user's by their weights", async () => {
    const module = write(
      'politeness.ts',
      "export default ({ bonus }) => ({ name: 'anything', score: (_sample, text) => bonus * text.length });",
    );
    const rewards = [
      { name: 'exact', weight: 2 },
      { name: 'length', targetTokens: 4, weight: -1 },
      { module, weight: 0.5, options: { bonus: 10 } },
    ];
    const handle = await loadRewards(recipe({ rewards }));
    expect(await handle.score(sample, completion)).toEqual({
      reward: 2 * 1 - 0.5 + 0.5 * 20,
      rewards: { exact: 1, length: 0.5, politeness: 20 },
    });
  });

  it("keeps the methods, getters and private fields of a user's class", async () => {
    const module = write(
      'judge.ts',
      `class Base { #full = 2; get name() { return 'base'; } score(_sample, text) { return this.grade(text); } private grade(text) { return text.length * this.#full; } }
       export default () => new (class extends Base {})();`,
    );
    const handle = await loadRewards(recipe({ rewards: [{ module }] }));
    expect((await handle.score(sample, completion)).rewards).toEqual({ judge: 4 });
  });

  it('compares answers as people write them', async () => {
    const handle = await loadRewards(recipe({ rewards: [{ name: 'answer', tolerance: 0.1 }] }));
    const marked = { ...completion, text: 'So it is \\boxed{\\$18.95}.' };
    expect((await handle.score(sample, marked)).rewards).toEqual({ answer: 1 });
  });

  it('refuses a module that makes no reward, and an invalid pattern', async () => {
    const module = write('number.ts', 'export default 3;');
    await expect(loadRewards(recipe({ rewards: [{ module }] }))).rejects.toMatchObject({
      code: 'CONFIG_MODULE_UNLOADABLE',
      message: /found number, expected a reward/,
    });
    await expect(loadRewards(recipe({ rewards: [{ name: 'format', pattern: '(' }] }))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

describe('loadTask', () => {
  it('reads JSON lines and names a file that is missing', async () => {
    const path = write(
      'data.jsonl',
      '{"question":"a","answer":"so #### 1"}\n{"question":"b","answer":"#### 2"}\n',
    );
    const task = { kind: 'jsonl', path, answerField: 'answer', answerPattern: '#### (.+)$', heldOut: 1 };
    const { size, heldOut, sample: at } = await loadTask(recipe({ task }));
    expect([size, heldOut.length]).toEqual([1, 1]);
    expect([at(0).answer, heldOut[0]?.answer].sort()).toEqual(['1', '2']);
    await expect(loadTask(recipe({ task: { ...task, heldOutPath: '/nowhere.jsonl' } }))).rejects.toEqual(
      expect.objectContaining({
        code: 'CONFIG_FILE_UNREADABLE',
        message: expect.stringContaining('/nowhere.jsonl') as string,
      }),
    );
  });

  describe('of a file that is not plain UTF-8 with LF', () => {
    const lines = (note = '') =>
      Array.from({ length: 3 }, (_, i) => JSON.stringify({ q: `${i}+1=`, a: `${i + 1}`, note }));
    const taskOf = (path: string, more = {}) =>
      loadTask(recipe({ task: { kind: 'jsonl', path, promptField: 'q', answerField: 'a', ...more } }));

    it.each([
      ['CRLF', `${lines().join('\r\n')}\r\n`],
      ['CR', `${lines().join('\r')}\r`],
      ['a byte order mark', `\ufeff${lines().join('\n')}`],
      ['a byte order mark in the middle', lines().join('\n\ufeff')],
    ])('reads %s', async (_name, text) => {
      const { size, heldOut } = await taskOf(write('ends.jsonl', text), { heldOut: 1 });
      expect([size, heldOut.length]).toEqual([2, 1]);
    });

    it.each([
      [
        'Latin-1',
        Buffer.from(lines('café').join('\n'), 'latin1'),
        ':1: found byte E9 as byte 32 of the line',
      ],
      ['UTF-16', Buffer.from(`\ufeff${lines().join('\n')}`, 'utf16le'), ': found UTF-16, expected UTF-8'],
    ])('refuses %s, as data and as held-out data', async (_name, bytes, message) => {
      const [bad, good] = [write('bad.jsonl', bytes), write('good.jsonl', lines().join('\n'))];
      const refusal = expect.objectContaining({
        code: 'CONFIG_DATASET_INVALID',
        message: expect.stringContaining(`${bad}${message}`) as string,
      });
      await expect(taskOf(bad)).rejects.toEqual(refusal);
      await expect(taskOf(good, { heldOutPath: bad })).rejects.toEqual(refusal);
    });

    it('shows a character that is not to be seen', async () => {
      const path = write('space.jsonl', `\u200b${lines()[0]}`);
      await expect(taskOf(path)).rejects.toThrow(`${path}:1: found Unexpected token 'U+200B'`);
    });
  });

  it('refuses a file that has changed since its hash was noted, naming both hashes', async () => {
    const [data, heldOut] = [
      write('then.jsonl', '{"q":"a"}\n{"q":"b"}'),
      write('then-held.jsonl', '{"q":"c"}'),
    ];
    const { task } = recipe({ task: { kind: 'jsonl', path: data, heldOutPath: heldOut, promptField: 'q' } });
    const noted = await pinnedTask(task);
    expect((await loadTask(recipe({ task: noted }))).size).toBe(2);
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const [before, after] = [sha256('{"q":"c"}'), sha256('{"q":"d"}')];
    write('then-held.jsonl', '{"q":"d"}');
    expect(await pinnedTask(noted)).toEqual(noted);
    await expect(loadTask(recipe({ task: noted }))).rejects.toEqual(
      expect.objectContaining({
        code: 'CONFIG_DATASET_INVALID',
        message: expect.stringContaining(`${heldOut}: found sha256 ${after}, expected ${before}`) as string,
      }),
    );
    expect((await loadTask(recipe({ task: await pinnedTask(task) }))).heldOut[0]?.prompt).toBe('d');
    write('then-held.jsonl', '{"q":"c"}');
    write('then.jsonl', '{"q":"a"}');
    await expect(loadTask(recipe({ task: noted }))).rejects.toThrow(`${data}: found sha256 `);
  });

  it('makes the same samples from the same seed', async () => {
    const first = await loadTask(recipe({ seed: 7 }));
    const second = await loadTask(recipe({ seed: 7 }));
    expect([0, 1, 2].map((i) => first.sample(i))).toEqual([0, 1, 2].map((i) => second.sample(i)));
    expect((await loadTask(recipe({ task: { kind: 'prompts', prompts: ['a'] } }))).sample(5).prompt).toBe(
      'a',
    );
  });
});
