import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { Completion, Prompt } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import { ConversationScorer, createModel, saveModel, type LoadedModel } from '@forge/model';
import { Reward, type RewardActorConfig } from './reward';

const base = join(__dirname, '../../../../models/arithmetic');
const json = (name: string) => JSON.parse(readFileSync(join(base, name), 'utf8')) as Record<string, unknown>;
const dir = mkdtempSync(join(tmpdir(), 'forge-model-reward-'));
let model: LoadedModel;
beforeAll(async () => {
  const named = { architectures: ['LlamaForSequenceClassification'], id2label: { 0: 'LABEL_0' } };
  model = createModel(
    {
      'config.json': { ...json('config.json'), ...named },
      'tokenizer.json': json('tokenizer.json'),
      'tokenizer_config.json': json('tokenizer_config.json'),
      'chat_template.jinja':
        "{% for message in messages %}{{ '-' if message.role == 'assistant' else '+' }}{{ message.content }}{% endfor %}{% if add_generation_prompt %}={% endif %}",
    },
    7,
    { head: 'score' },
  );
  await saveModel(dir, model, { dtype: 'F32' });
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const completion = (text: string): Completion => ({
  text,
  promptTokenIds: [1],
  tokenIds: [2, 3],
  logprobs: [-1, -1],
  versions: [0, 0],
  stopReason: 'end',
});
const item = (prompt: Prompt, text: string) => ({
  sample: { id: `${JSON.stringify(prompt)} ${text}`, prompt },
  completion: completion(text),
});
const spawned = (parts: object = {}) =>
  thisProc().spawn('reward', Reward, {
    rewards: [{ name: 'model', model: dir, weight: 1, ...parts }],
  } as RewardActorConfig);

const chat: Prompt = [{ role: 'user', content: '12' }];
const items = [item('12+7=', '19'), item('12+7=', '<2>'), item(chat, '19'), item('+12-', '19')];

async function expectedScores(): Promise<number[]> {
  const scorer = await ConversationScorer.create({
    ...{ engine: createEngine({ threads: 1 }), model, maxBatchTokens: 1024, truncation: 'error' },
  });
  const scores = await scorer.score(
    items.map(({ sample, completion: { text } }) => ({ prompt: sample.prompt, answer: text })),
  );
  return scores as number[];
}

describe('a reward model', () => {
  it('scores a batch as the model does, prompt and answer in the words of its chat template', async () => {
    const reward = await spawned();
    const expected = await expectedScores();
    const results = await reward.score.callOne(items);
    expect(results).toEqual(
      expected.map((value) => ({ score: { reward: value, rewards: { model: value } } })),
    );
    // "+12-19" is what the template makes of the chat.
    expect(expected[2]).toBe(expected[3]);
    expect(new Set(expected).size).toBe(3);
    await reward.stop();
  });

  it('gives the same bits in calls that come at the same time, normalized and weighted', async () => {
    const reward = await spawned({ mean: 2, std: 4, weight: -3 });
    const expected = await expectedScores();
    const results = await Promise.all(items.map((one) => reward.score.callOne([one])));
    results.forEach(([result], i) => {
      const value = (expected[i]! - 2) / 4;
      expect(result).toEqual({ score: { reward: -3 * value, rewards: { model: value } } });
    });
    await reward.stop();
  });

  it('fails one that is too long, which is no score of 0, or cuts it', async () => {
    const long = [item('12+7=', '123456789'), items[0]!];
    const [strict, end, start] = [
      await spawned({ maxTokens: 8 }),
      await spawned({ maxTokens: 8, truncation: 'end' }),
      await spawned({ maxTokens: 8, truncation: 'start' }),
    ];
    expect(await strict.score.callOne(long)).toMatchObject([
      { error: { code: 'CAPACITY_PROMPT_TOO_LONG', details: { tokens: 15, maxPositions: 8 } } },
      { score: {} },
    ]);
    // The tokenizer writes 7 as 07.
    const cut = (answer: string) => [item('', answer)];
    expect((await end.score.callOne(long))[0]).toEqual((await end.score.callOne(cut('12+7=12')))[0]);
    expect((await start.score.callOne(long))[0]).toEqual((await start.score.callOne(cut('23456789')))[0]);
    await Promise.all([strict.stop(), end.stop(), start.stop()]);
  });

  it('does not start with a model that has no scalar head', async () => {
    await expect(spawned({ model: base })).rejects.toMatchObject({
      code: 'CONFIG_MODEL_UNSUPPORTED',
      message: expect.stringContaining('"LlamaForSequenceClassification"') as string,
    });
  });
});
