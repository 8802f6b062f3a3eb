import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { loadRecipe, rolloutSchema, type Recipe } from '@forge/config';
import type { ChatMessage, Completion, Episode, Sample } from '@forge/contracts';
import { bridgeChat, loadModelTokenizer, parseAnswer, renderChat } from '@forge/model';
import { loadAgent, loadAlgorithm, loadRewards, loadRollout, loadTask } from '@forge/recipe-parts';
import { policyHandle, type PolicyHandle } from '@forge/rl';
import { startGateway } from '../services/gateway/src/gateway.fixture';
import { ScriptedPolicy } from '../services/gateway/src/scripted-policy.fixture';

const root = join(__dirname, '..');
const page = readFileSync(join(root, 'docs/agents.md'), 'utf8');
mkdirSync(join(root, '.forge'), { recursive: true });
/** Place of the files of the page; paths of modules in its recipes lead there. */
const dir = mkdtempSync(join(root, '.forge', 'agents-page-'));
for (const [, name, text] of page.matchAll(
  /^```(?:ts|js|yaml)\n(?:\/\/|#) ([a-z-]+\.(?:ts|mjs|yaml))\n(.*?)^```$/gms,
))
  writeFileSync(join(dir, name!), text!.replaceAll('module: ./', `module: ${dir}/`));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const load = (name: string, overrides: string[] = []): Recipe =>
  loadRecipe(join(dir, name), overrides, { searchDirs: [] });

const call = (name: string, args: object) =>
  `<tool_call>{"name": "${name}", "arguments": ${JSON.stringify(args)}}</tool_call>`;

/** A policy of the model `models/agent` that says these texts, one each turn, in every conversation. */
async function policySaying(...texts: string[]): Promise<PolicyHandle> {
  const tokenizer = await loadModelTokenizer(join(root, 'models/agent'), undefined);
  const completion = (promptTokenIds: number[], text: string): Completion => {
    const answer = tokenizer.encode(text, { addSpecialTokens: false });
    const tokenIds = [...answer, tokenizer.endTokenIds[0]!];
    const logprobs = tokenIds.map(() => -1);
    const versions = tokenIds.map(() => 0);
    return { text, promptTokenIds, tokenIds, logprobs, versions, stopReason: 'end' };
  };
  return policyHandle({
    id: '0',
    maxTokens: 64,
    clock: () => 0,
    count: () => undefined,
    renderChat: (request) => Promise.resolve(renderChat(tokenizer, request)),
    bridgeChat: (request) => Promise.resolve(bridgeChat(tokenizer, request)),
    parseAnswer: (request) => Promise.resolve(parseAnswer(tokenizer, request).message),
    generate: ({ prompt, rolloutIds }) => {
      const turn = Number(rolloutIds[0]!.split('-').at(-1));
      return Promise.resolve([completion((prompt as { tokenIds: number[] }).tokenIds, texts[turn]!)]);
    },
  });
}

/** The episodes of one rollout of the recipe. */
async function rolledOut(recipe: Recipe, sample: Sample, ...texts: string[]): Promise<Episode[]> {
  const rollout = await loadRollout(recipe, await loadAlgorithm(recipe));
  const reward = await loadRewards(recipe);
  return rollout!({ sample, policy: await policySaying(...texts), reward, groupSize: 1 });
}

/** Roles and texts of the messages that an episode shows. */
const said = ([episode]: Episode[]) => episode!.conversation!.map(({ role, text }) => [role, text]);

describe('docs/agents.md', () => {
  it('has an agent that calls an endpoint, and gives its own reward', async () => {
    const recipe = load('multiplier.yaml', [`rollout.command.1=${join(dir, 'multiplier.mjs')}`]);
    expect([recipe.rewards, recipe.evaluation.reward]).toEqual([[], 'agent']);
    const sample = (await loadTask(recipe)).sample(0);
    const factors = (sample.prompt as ChatMessage[])[0]!.content.replace('=', '');
    const says = (messages: readonly ChatMessage[]): string =>
      messages.length === 1 ? call('calculator', { expression: factors }) : messages.at(-1)!.content;
    const reports = ['12', says].map(async (script) => {
      const gateway = await startGateway(new ScriptedPolicy(script), { names: ['policy'] });
      const running = loadAgent(recipe)!.run({ sample, baseUrl: gateway.url, key: 'sk-forge-k' });
      return running.finally(() => gateway.close());
    });
    expect(await Promise.all(reports)).toEqual([
      { reward: 0, stderr: 'said 12\n' },
      { reward: 1, stderr: `said ${sample.answer!}\n` },
    ]);
  });

  it('has tools that a recipe names', async () => {
    const recipe = load('shop.yaml');
    const sample = { id: '0', prompt: 'What do 4 apples cost?', answer: '12' };
    const episodes = await rolledOut(
      recipe,
      sample,
      call('price', { fruit: 'melon' }),
      call('price', { fruit: 'apple' }),
      call('calculator', { expression: '4*3' }),
      '12',
    );
    expect(said(episodes)).toEqual([
      ['user', 'What do 4 apples cost?'],
      ['assistant', ''],
      ['tool', 'Error: no fruit is named melon'],
      ['assistant', ''],
      ['tool', '{"price":3}'],
      ['assistant', ''],
      ['tool', '12'],
      ['assistant', '12'],
    ]);
    expect(episodes.map(({ rewards }) => rewards)).toEqual([{ answer: 1 }]);
  });

  it('has tools with state, which are put away', async () => {
    const asked: string[] = [];
    const shop = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (body: string) => asked.push(body));
      request.on('end', () => {
        asked.push(`${request.method} ${request.url}`);
        response.end(request.method === 'POST' ? '7' : 'in the cart');
      });
      request.resume();
    });
    await new Promise<void>((resolve) => shop.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;
    const tools = { module: join(dir, 'cart-tools.ts'), options: { url } };
    const recipe = load('shop.yaml', [`rollout.tools.0=${JSON.stringify(tools)}`]);
    const sample = { id: '0', prompt: 'What do 4 apples cost?', answer: '1' };
    const turns = [call('put', { fruit: 'pear' }), call('put', { fruit: 'nut' }), 'done'];
    const answers = said(await rolledOut(recipe, sample, ...turns));
    shop.close();
    expect(answers.filter(([role]) => role === 'tool')).toEqual([
      ['tool', 'in the cart'],
      ['tool', 'Error: invalid arguments: fruit: Invalid option: expected one of "apple"|"pear"'],
    ]);
    expect(asked).toEqual(['POST /carts', 'pear', 'PUT /carts/7', 'DELETE /carts/7']);
  });

  it('has an environment that a recipe names', async () => {
    const recipe = load('stairs.yaml');
    const sample = (await loadTask(recipe)).sample(0);
    const episodes = await rolledOut(recipe, sample, 'up', 'up', 'down');
    expect(said(episodes)).toEqual([
      ['user', 'Climb. You are at the foot of 4 stairs.'],
      ['assistant', 'up'],
      ['user', 'You are on stair 1.'],
      ['assistant', 'up'],
      ['user', 'You are on stair 2.'],
      ['assistant', 'down'],
    ]);
    expect(episodes[0]!.rewards).toEqual({ stairs: 0.5 });
    expect(episodes[0]!.turns!.map(({ reward }) => reward)).toEqual([0.25, 0.25, 0]);
    expect([recipe.rewards, recipe.evaluation.reward]).toEqual([[], 'stairs']);
  });

  it('has a rollout of its own', async () => {
    const recipe = load('shop.yaml', ['rollout=null']);
    const own = rolloutSchema.parse({ module: join(dir, 'debate.ts') });
    const sample: Sample = { id: 's', prompt: '6*7=', answer: '42' };
    const episodes = await rolledOut({ ...recipe, rollout: own }, sample, '41', '42');
    const [asked]: ChatMessage[] = [{ role: 'user', content: '6*7=' }];
    expect(said(episodes)).toEqual([
      ['user', asked!.content],
      ['assistant', '41'],
      ['user', 'Are you sure?'],
      ['assistant', '42'],
    ]);
    expect(episodes[0]!.reward).toBe(1);
  });
});
