import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolloutSchema } from '@forge/config';
import type { ChatMessage, Completion, Episode, Sample } from '@forge/contracts';
import {
  episode,
  grpo,
  remax,
  type Conversation,
  type PolicyHandle,
  type Rollout,
  type Score,
} from '@forge/rl';
import { loadRollout } from './load-rollout';

const dir = mkdtempSync(join(tmpdir(), 'forge-rollout-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const load = async (rollout: object): Promise<Rollout> =>
  (await loadRollout({ rollout: rolloutSchema.parse(rollout) }, grpo()))!;

/** Calls `tool` in its first turn, then answers with the last message. */
function policyCalling(tool: string, args: Record<string, unknown>): PolicyHandle {
  const conversation = (given: ChatMessage[]): Conversation => {
    const messages = [...given];
    let last: Completion;
    return {
      messages,
      parts: [],
      forks: [],
      end: null,
      next: () => {
        const { role, content } = messages.at(-1)!;
        const message: ChatMessage =
          role === 'user' && messages.length === 1
            ? { role: 'assistant', content: '', toolCalls: [{ id: '1', name: tool, arguments: args }] }
            : { role: 'assistant', content };
        messages.push(message);
        last = {
          text: message.content,
          promptTokenIds: [1],
          tokenIds: [2],
          logprobs: [-1],
          versions: [0],
          stopReason: 'end',
        };
        return Promise.resolve({ message, completion: last });
      },
      add: (...added) => void messages.push(...added),
      episodes: (score: Score): Episode[] => [episode(last, score)],
    };
  };
  return { conversation } as unknown as PolicyHandle;
}

const sample: Sample = { id: 's', prompt: '12*34=', answer: '408' };
const reward = {
  score: (_sample: Sample, { text }: Completion) =>
    Promise.resolve({ reward: Number(text), rewards: { value: Number(text) } }),
};

describe('loadRollout', () => {
  it('wants the key of an environment before anything starts', async () => {
    const environment = { name: 'openenv', url: 'http://127.0.0.1:8000', apiKeyEnv: 'GAMES_TEST_KEY' };
    await expect(load({ environment })).rejects.toThrow(
      'environment variable GAMES_TEST_KEY: not set, but apiKeyEnv of the environment names it',
    );
    process.env.GAMES_TEST_KEY = 'secret';
    expect(await load({ environment })).toBeInstanceOf(Function);
    delete process.env.GAMES_TEST_KEY;
  });

  it("gives the algorithm's without one of its own, and refuses two", async () => {
    const { rollout } = grpo();
    expect(await loadRollout({ rollout: rolloutSchema.parse({}) }, grpo())).toBe(rollout);
    const own = { rollout: rolloutSchema.parse({ tools: [{ name: 'calculator' }] }) };
    await expect(loadRollout(own, remax())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: /rollout: found one beside algorithm remax, which rolls out itself/,
    });
  });

  it('has none for agents, whose sessions are made elsewhere, and refuses them beside that of an algorithm', async () => {
    expect(await load({ sessions: true })).toBeNull();
    const command = { rollout: rolloutSchema.parse({ command: ['node', 'agent.mjs'] }) };
    expect(await loadRollout(command, grpo())).toBeNull();
    await expect(loadRollout(command, remax())).rejects.toThrow('found one beside algorithm remax');
  });

  it("offers built-in tools and the user's, made from options, with zod wherever the module lies", async () => {
    const module = write(
      'words.ts',
      `import { defineTools } from '@forge/rl';
       import { z } from 'zod';
       export default ({ factor }: { factor: number }) => defineTools({
         lengthOf: {
           description: 'Counts letters.',
           parameters: z.object({ word: z.string() }),
           run: ({ word }) => factor * word.length,
         },
       });`,
    );
    const rollout = await load({
      tools: [{ name: 'calculator' }, { module, options: { factor: 3 } }],
    });
    const policy = policyCalling('lengthOf', { word: 'four' });
    const [asked] = await rollout({ sample, policy, reward, groupSize: 1 });
    expect(asked!.reward).toBe(12);
    const computing = policyCalling('calculator', { expression: '12*34' });
    expect((await rollout({ sample, policy: computing, reward, groupSize: 1 }))[0]!.reward).toBe(408);
  });

  it("acts in the user's environment, under the name of its file, weighed by the recipe", async () => {
    const module = write(
      'maze.ts',
      `import { defineEnvironment } from '@forge/rl';
       export default ({ exit }) => defineEnvironment({
         reset: () => '5',
         step: ({ content }) => (content === '' ? { observation: exit } : { reward: 2, done: true }),
       });`,
    );
    const rollout = await load({ environment: { module, weight: 10, options: { exit: '7' } } });
    const policy = policyCalling('none', {});
    const [{ reward: total, rewards }] = (await rollout({ sample, policy, reward, groupSize: 1 })) as [
      Episode,
    ];
    expect([total, rewards]).toEqual([27, { value: 7, maze: 2 }]);
  });

  it("takes the user's rollout as it is", async () => {
    const module = write(
      'own.ts',
      `import { episode } from '@forge/rl';
       export default ({ bonus }) => async () => [{ reward: bonus }];`,
    );
    const rollout = await load({ module, options: { bonus: 4 } });
    const policy = policyCalling('none', {});
    expect(await rollout({ sample, policy, reward, groupSize: 1 })).toEqual([{ reward: 4 }]);
  });

  it.each([
    [
      'environment',
      'empty.ts',
      'export default {};',
      /empty\.ts: found no function 'open', expected an environment/,
    ],
    [
      'tools',
      'tools.ts',
      'export default { run() {} };',
      /tools\.ts: found no function 'open', expected tools/,
    ],
    [
      'module',
      'rollout.ts',
      'export default {};',
      /rollout\.ts: found object, expected a function of the options/,
    ],
    [
      'tools',
      'unnamed.ts',
      "import { defineTools } from '@forge/rl'; export default () => defineTools({});",
      /factory of .*unnamed\.ts failed: tools: found none, expected at least one/,
    ],
  ])('refuses %s of %s with the reason', async (key, name, text, message) => {
    const module = write(name, text);
    const part = {
      environment: { environment: { module } },
      tools: { tools: [{ module }] },
      module: { module },
    };
    await expect(load(part[key as keyof typeof part])).rejects.toMatchObject({
      code: 'CONFIG_MODULE_UNLOADABLE',
      message,
    });
  });
});
