import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSftRecipe } from '@forge/config';
import { createFromRecipe } from './supervised-training';

const dir = mkdtempSync(join(tmpdir(), 'forge-sft-tokenizer-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const recipes = join(__dirname, '../../../../infra/recipes');
const letters = Object.fromEntries([...'0123456789-+= abc'].map((letter, id) => [letter, id]));
const write = (name: string, content: object | string) => {
  writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
};

describe('a new model with the tokenizer of a folder', () => {
  it('has the tokens and the chat template of every file there', () => {
    write('tokenizer.json', {
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: { type: 'BPE', vocab: letters, merges: [], unk_token: null },
    });
    write('tokenizer_config.json', { eos_token: '[end]' });
    write('added_tokens.json', { '[end]': 17, '[you]': 18 });
    write(
      'chat_template.jinja',
      "{% for m in messages %}[you]{{ m.content }} {{ strftime_now('%d') }}{% endfor %}",
    );
    const overrides = [`tokenizer=${dir}`, 'date=2025-03-07'];
    const recipe = loadSftRecipe('arithmetic-sft', overrides, { searchDirs: [recipes] });
    const { config, tokenizer, files } = createFromRecipe(recipe);
    expect(config.vocabSize).toBe(19);
    expect(tokenizer.endTokenIds).toEqual([17]);
    const { tokenIds } = tokenizer.renderPrompt([{ role: 'user', content: 'a' }]);
    expect(tokenIds).toEqual([18, letters['a'], letters[' '], 0, 7]);
    expect([...files.keys()]).toEqual(expect.arrayContaining(['added_tokens.json', 'chat_template.jinja']));
  });
});
