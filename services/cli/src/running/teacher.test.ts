import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadRecipe } from '@forge/config';
import { createModel, saveModel } from '@forge/model';
import { recipeDirs } from '../recipe-dirs';
import { preflight } from './preflight';

const folder = join(__dirname, '../../../../models/arithmetic');
const json = (name: string) =>
  JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>;
const files = () => ({
  'config.json': json('config.json'),
  'tokenizer.json': json('tokenizer.json') as { model: { vocab: Record<string, number> } },
  'tokenizer_config.json': json('tokenizer_config.json'),
});
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-teacher-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const checked = (...overrides: string[]) =>
  preflight(loadRecipe('arithmetic-grpo', [`model=${folder}`, ...overrides], { searchDirs: recipeDirs() }), {
    startsHere: true,
  });
const distilled = (teacher: string) => checked('algorithm.name=opd', `reference.model=${teacher}`);

/** A model of random weights with these files, in a directory of its own. */
async function made(parts: ReturnType<typeof files>): Promise<string> {
  const teacher = join(dir, 'teacher');
  await saveModel(teacher, createModel(parts, 5), { dtype: 'F32' });
  return teacher;
}

describe('a teacher', () => {
  it('may have another size, which the plan and the choice of an engine count', async () => {
    const parts = files();
    parts['config.json'] = { ...parts['config.json'], num_hidden_layers: 4 };
    const teacher = await made(parts);
    const { recipe, model, models } = await distilled(teacher);
    expect([recipe.reference.model, recipe.reference.replicas]).toEqual([teacher, 1]);
    expect(recipe.reference.engine).not.toBe('auto');
    expect([model.config.layers, models.reference.layers]).toEqual([3, 4]);
  });

  it('is refused with another tokenizer, naming the first token', async () => {
    const parts = files();
    const { vocab } = parts['tokenizer.json'].model;
    [vocab['+'], vocab['-']] = [vocab['-']!, vocab['+']!];
    const first = Math.min(vocab['+'], vocab['-']);
    const teacher = await made(parts);
    await expect(distilled(teacher)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(
        `reference.model: found ${teacher}, which has another tokenizer than model: token ${first} is `,
      ) as string,
    });
  });

  it('is refused with fewer positions than prompt and completion take', async () => {
    const parts = files();
    parts['config.json'] = { ...parts['config.json'], max_position_embeddings: 12 };
    await expect(distilled(await made(parts))).rejects.toThrow('of the 12 positions of reference.model');
  });

  it('is refused where it is no model, or nobody asks it', async () => {
    const empty = join(dir, 'empty');
    mkdirSync(empty);
    await expect(distilled(empty)).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
    await expect(checked(`reference.model=${folder}`)).rejects.toThrow('which nothing asks');
  });

  it('is the reference of any algorithm with a divergence', async () => {
    const { recipe } = await checked('algorithm.klCoefficient=0.1', `reference.model=${folder}`);
    expect(recipe.reference).toMatchObject({ model: folder, replicas: 1 });
  });
});
