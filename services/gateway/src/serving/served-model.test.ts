import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { startGateway } from '../gateway.fixture';
import { ServedPolicy } from './served-policy';
import type { Gateway } from '../gateway-server';
import { writeTinyChatModel } from '../tiny-chat-model.fixture';

const dir = mkdtempSync(join(tmpdir(), 'forge-served-'));
const ARITHMETIC = join(__dirname, '../../../../models/arithmetic');
afterAll(() => rmSync(dir, { recursive: true }));

let policy: ServedPolicy;
let gateway: Gateway;
let client: OpenAI;
async function serve(model: string): Promise<void> {
  policy = await ServedPolicy.open({ model, threads: 1, chunk: 1 });
  gateway = await startGateway(policy);
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'any', maxRetries: 0 });
}
afterEach(async () => {
  await gateway.close();
  await policy.close();
});

const tool = {
  name: 'add',
  description: 'adds',
  parameters: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
};

describe('a chat model', () => {
  it('thinks, calls a tool and tells what that gave, streamed or not', async () => {
    await writeTinyChatModel(join(dir, 'chat'));
    await serve(join(dir, 'chat'));
    const given: unknown[] = [];
    const add = {
      type: 'function' as const,
      function: {
        ...tool,
        parse: JSON.parse,
        function: (call: { a: number; b: number }) => {
          given.push(call);
          return String(call.a + call.b);
        },
      },
    };
    const request = { model: 'tiny', messages: [{ role: 'user' as const, content: '2+3?' }], tools: [add] };
    const whole = client.chat.completions.runTools(request);
    expect(await whole.finalContent()).toBe('It is 👋 five.');
    expect(whole.messages[1]).toMatchObject({ reasoning_content: 'I add.', content: 'One moment, é:' });
    const streamed = client.chat.completions.runTools({ ...request, stream: true });
    let [text, deltas] = ['', 0];
    streamed.on('content', (delta) => {
      text += delta;
      deltas += 1;
    });
    expect(await streamed.finalContent()).toBe('It is 👋 five.');
    expect(text).toBe('One moment, é:It is 👋 five.');
    expect(deltas).toBeGreaterThan(5);
    expect(given).toEqual([
      { a: 2, b: 3 },
      { a: 2, b: 3 },
    ]);
  });
});

describe('a model of text', () => {
  beforeEach(() => serve(ARITHMETIC));

  it('streams the completion that it gives whole, whose log-probs are those of the tokens', async () => {
    const body = { model: 'tiny', prompt: '82-1=', temperature: 0, max_tokens: 10, logprobs: 0 };
    const whole = await client.completions.create(body);
    expect(whole.choices[0]).toMatchObject({ text: '<11>11', finish_reason: 'stop' });
    expect(whole.usage).toEqual({ prompt_tokens: 6, completion_tokens: 7, total_tokens: 13 });
    const [texts, logprobs]: [string[], number[]] = [[], []];
    for await (const { choices } of await client.completions.create({ ...body, stream: true })) {
      texts.push(choices[0]!.text);
      logprobs.push(...(choices[0]!.logprobs?.token_logprobs ?? []));
    }
    expect(texts.filter((text) => text !== '')).toEqual([...'<11>11']);
    expect(logprobs).toEqual(whole.choices[0]!.logprobs!.token_logprobs);
  });

  it('draws the same for the same seed, and other answers for another', async () => {
    const drawn = async (seed: number) =>
      (
        await client.completions.create({ model: 'tiny', prompt: '12+7=', temperature: 3, n: 8, seed })
      ).choices.map(({ text }) => text);
    const [one, again, other] = await Promise.all([drawn(1), drawn(1), drawn(2)]);
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    expect(new Set(one).size).toBeGreaterThan(1);
  });

  it('says why it can not chat, and what is too long', async () => {
    const chat = client.chat.completions.create({
      model: 'tiny',
      messages: [{ role: 'user', content: 'Hi' }],
    });
    await expect(chat).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('found no chat_template') as string,
    });
    const long = client.completions.create({ model: 'tiny', prompt: '1'.repeat(64) });
    await expect(long).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const unknown = client.completions.create({ model: 'tiny', prompt: [99] });
    await expect(unknown).rejects.toMatchObject({ status: 400 });
  });
});
