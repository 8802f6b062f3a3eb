import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const page = readFileSync(join(root, 'docs/agents.md'), 'utf8');

/** A policy that calls the tool with what it is asked, and then says what the tool said. */
const DRIVER = `
import algorithm from './ALGORITHM';
import { policyHandle } from '@forge/rl';

const policy = policyHandle({
  id: '7',
  maxTokens: 64,
  clock: () => 0,
  count: () => undefined,
  generate: async ({ prompt, rolloutIds, sampling }) => [{
    ...{ text: rolloutIds[0], promptTokenIds: prompt.tokenIds, tokenIds: [5, 1], stopReason: 'end' },
    ...{ logprobs: [-1, -1], versions: [0, 0] },
  }],
  renderChat: async ({ messages, tools }) => [messages.length, tools.length],
  bridgeChat: async ({ tokenIds, added }) => ({ tokenIds: [...tokenIds, Number(added[0].content)] }),
  parseAnswer: async ({ callIds }) => callIds === 'call-0'
    ? { role: 'assistant', content: '', toolCalls: [{ id: 'c', name: 'add', arguments: { a: 12, b: 7 } }] }
    : { role: 'assistant', content: '19' },
});
const reward = { score: async (sample, { text }) => ({ reward: text === '7-c1-1' ? 1 : 0, rewards: {} }) };
const sample = { id: 's', prompt: 'What is 12 and 7?' };
const episodes = await algorithm({}).rollout({ sample, policy, reward, groupSize: 2 });
console.log(JSON.stringify(episodes.map(({ tokenIds, mask, reward, rollout, conversation }) => ({
  tokenIds: [...tokenIds], mask: [...mask], reward, rollout, said: conversation.map(({ text }) => text),
}))));
`;

describe('the conversation of docs/agents.md', () => {
  it('is a rollout that trains on what the policy said', () => {
    const code = /^```ts\n\/\/ talk\.ts[^]*?^```$/m.exec(page)![0].replace(/^```(ts)?$/gm, '');
    const dir = join(root, '.forge');
    mkdirSync(dir, { recursive: true });
    const [algorithm, driver] = ['talk', 'talk-driver'].map((name) => `${name}-${process.pid}.mts`);
    writeFileSync(join(dir, algorithm!), code);
    writeFileSync(join(dir, driver!), DRIVER.replace('ALGORITHM', algorithm!));
    const run = spawnSync(process.execPath, ['--import', 'tsx', join(dir, driver!)], {
      cwd: root,
      encoding: 'utf8',
    });
    for (const file of [algorithm!, driver!]) rmSync(join(dir, file));
    const rollout = { tokenIds: [1, 1, 5, 1, 19, 5, 1], mask: [0, 0, 1, 1, 0, 1, 1] };
    const said = ['What is 12 and 7?', '', '19', '19'];
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual([
      { ...rollout, reward: 0, rollout: 0, said },
      { ...rollout, reward: 1, rollout: 1, said },
    ]);
  });
});
