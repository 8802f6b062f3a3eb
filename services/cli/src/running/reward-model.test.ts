import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadRecipe, rewardModelOf } from '@forge/config';
import { createModel, saveModel } from '@forge/model';
import { HubServer } from '@forge/testing';
import { recipeDirs } from '../recipe-dirs';
import { preflight } from './preflight';

const policy = join(__dirname, '../../../../models/arithmetic');
const json = (name: string) =>
  JSON.parse(readFileSync(join(policy, name), 'utf8')) as Record<string, unknown>;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-reward-model-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** A sequence classifier of random weights, in a directory of its own. */
async function made(changes: object = {}): Promise<string> {
  const scorer = join(dir, 'scorer');
  const named = { architectures: ['LlamaForSequenceClassification'], id2label: { 0: 'LABEL_0' } };
  const files = {
    'config.json': { ...json('config.json'), num_hidden_layers: 2, ...named, ...changes },
    'tokenizer.json': json('tokenizer.json'),
    'tokenizer_config.json': json('tokenizer_config.json'),
  };
  await saveModel(scorer, createModel(files, 5, { head: 'score' }), { dtype: 'F32' });
  return scorer;
}

const checked = (model: string, ...overrides: string[]) =>
  preflight(
    loadRecipe(
      'arithmetic-grpo',
      [`model=${policy}`, `rewards.0={ name: model, model: '${model}' }`, ...overrides],
      { searchDirs: recipeDirs() },
    ),
    { startsHere: true },
  );

describe('a reward model', () => {
  it('has a shape that the plan counts, and an engine by name', async () => {
    const { recipe, models } = await checked(await made());
    expect(models.rewardModel).toMatchObject({ head: 'score', layers: 2 });
    expect(rewardModelOf(recipe)!.reward.engine).not.toBe('auto');
  });

  it.each<[object, string[], string, string]>([
    [{ id2label: { 0: 'bad', 1: 'good' } }, [], 'CONFIG_MODEL_UNSUPPORTED', 'expected one label'],
    [{ max_position_embeddings: 12 }, [], 'CONFIG_INVALID', 'more than the 12 that the reward model reads'],
    [{}, ['rewards.0.maxTokens=8'], 'CONFIG_INVALID', 'rewards.0.truncation: found error; a prompt of'],
    [{}, ['rewards.0.maxTokens=9999'], 'CONFIG_INVALID', 'rewards.0.maxTokens: found 9999, expected at most'],
  ])('is refused with %j and %j', async (changes, overrides, code, message) => {
    // A model with two labels can't be made by what scores with one.
    const model = await made('id2label' in changes ? {} : changes);
    if ('id2label' in changes) {
      const file = join(model, 'config.json');
      const config = JSON.parse(readFileSync(file, 'utf8')) as object;
      writeFileSync(file, JSON.stringify({ ...config, ...changes }));
    }
    await expect(checked(model, ...overrides)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it('may cut what is too long', async () => {
    const { recipe } = await checked(await made(), 'rewards.0.maxTokens=8', 'rewards.0.truncation=start');
    expect(recipe.rewards[0]).toMatchObject({ maxTokens: 8, truncation: 'start' });
  });

  it('is refused where there is none, it is a model of language, or it has no chat template for messages', async () => {
    const empty = join(dir, 'empty');
    mkdirSync(empty);
    await expect(checked(empty)).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
    await expect(checked(policy)).rejects.toThrow(
      'architectures: found "LlamaForCausalLM", expected one of "LlamaForSequenceClassification"',
    );
    const scorer = await made();
    // A policy with a chat template, which the reward model lacks.
    const chat = join(dir, 'chat');
    cpSync(policy, chat, { recursive: true });
    writeFileSync(join(chat, 'chat_template.jinja'), '{{ messages[0].content }}=');
    const samples = join(dir, 'samples.jsonl');
    writeFileSync(samples, JSON.stringify({ question: [{ role: 'user', content: '1' }], answer: '1' }));
    const task = `task={ kind: dataset, path: ${samples} }`;
    await expect(checked(scorer, task, `model=${chat}`, 'evaluation.everySteps=0')).rejects.toMatchObject({
      code: 'CONFIG_TOKENIZER_INVALID',
      message: expect.stringContaining(`${scorer}/tokenizer_config.json: found no chat_template`) as string,
    });
    const asPolicy = loadRecipe('arithmetic-grpo', [`model=${scorer}`], { searchDirs: recipeDirs() });
    await expect(preflight(asPolicy, { startsHere: true })).rejects.toThrow(
      'architectures: found "LlamaForSequenceClassification", expected one of "LlamaForCausalLM"',
    );
  });

  it('is downloaded by its name on the hub, and named with its commit from then on', async () => {
    const scorer = await made();
    const files = Object.fromEntries(
      readdirSync(scorer).map((name) => [name, readFileSync(join(scorer, name))]),
    );
    const server = await HubServer.start([{ name: 'me/scorer', files }]);
    process.env.HF_ENDPOINT = server.endpoint;
    process.env.HF_HOME = join(dir, 'hub');
    try {
      const { recipe } = await checked('me/scorer');
      const pinned = `me/scorer@${server.commit('models/me/scorer')}`;
      expect(rewardModelOf(recipe)!.reward.model).toBe(pinned);
    } finally {
      delete process.env.HF_ENDPOINT;
      delete process.env.HF_HOME;
      await server.stop();
    }
  });
});
