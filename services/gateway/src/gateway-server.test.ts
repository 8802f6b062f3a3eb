import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { hostileJson, seededRandom, waitFor } from '@forge/testing';
import { post, startGateway } from './gateway.fixture';
import { ScriptedPolicy } from './scripted-policy.fixture';

const user = (content: unknown) => ({ role: 'user', content });
const chat = (fields: object = {}) => ({ model: 'tiny', messages: [user('Hi')], ...fields });
const CHAT = '/v1/chat/completions';
const BODIES: Record<string, object> = {
  [CHAT]: chat(),
  '/v1/completions': { model: 'tiny', prompt: 'Hi' },
  '/v1/responses': { model: 'tiny', input: 'Hi' },
  '/v1/messages': { model: 'tiny', max_tokens: 10, messages: [user('Hi')] },
};

let policy: ScriptedPolicy;
let gateway: Awaited<ReturnType<typeof startGateway>>;
async function serve(options: Parameters<typeof startGateway>[1] = {}): Promise<void> {
  policy = new ScriptedPolicy('a long story', 1);
  gateway = await startGateway(policy, options);
}
afterEach(() => gateway.close(0));

describe('a request that can not be met', () => {
  beforeEach(() => serve({ names: ['tiny', 'small'] }));

  it.each<[string, string, object, string]>([
    [
      'an image',
      CHAT,
      chat({ messages: [user([{ type: 'image_url', image_url: {} }])] }),
      'messages.0.content.0.type: expected text, found "image_url": the model reads text only',
    ],
    [
      'a tool that must be called',
      CHAT,
      chat({ tool_choice: 'required' }),
      'tool_choice: only "auto" and "none" are possible: making a model call a tool needs constrained decoding, which this server does not have yet',
    ],
    [
      'a tool by its name',
      CHAT,
      chat({ tool_choice: { type: 'function', function: { name: 'f' } } }),
      'tool_choice: only "auto" and "none" are possible',
    ],
    [
      'JSON',
      CHAT,
      chat({ response_format: { type: 'json_schema', json_schema: {} } }),
      'response_format.type: only "text" is possible: JSON needs constrained decoding, which this server does not have yet',
    ],
    [
      'alternatives of tokens',
      CHAT,
      chat({ logprobs: true, top_logprobs: 3 }),
      'top_logprobs: only 0 is possible',
    ],
    [
      'penalties',
      CHAT,
      chat({ presence_penalty: 0.5 }),
      'presence_penalty: this server has no penalties; leave it out',
    ],
    [
      'functions of old',
      CHAT,
      chat({ functions: [{ name: 'f' }] }),
      'functions: expected tools in its place',
    ],
    [
      'an answer without content',
      CHAT,
      chat({ messages: [user('Hi'), { role: 'assistant', content: null }] }),
      'messages.1.content: expected text, or tool_calls beside it',
    ],
    [
      'arguments that are no object',
      CHAT,
      chat({
        messages: [
          {
            role: 'assistant',
            tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '[1' } }],
          },
        ],
      }),
      'messages.0.tool_calls.0.function.arguments: expected a JSON object as text',
    ],
    ['too many answers', CHAT, chat({ n: 129 }), 'n: Too big: expected number to be <=128'],
    ['sampling out of bounds', CHAT, chat({ top_p: 0 }), 'top_p: Too small'],
    ['too many stop strings', CHAT, chat({ stop: Array.from({ length: 17 }, String) }), 'stop: Too big'],
    ['no messages', CHAT, chat({ messages: [] }), 'messages: Too small'],
    [
      'prompts for too many answers',
      '/v1/completions',
      { model: 'tiny', prompt: ['a', 'b'], n: 65 },
      'prompt: found 2 prompts and n 65, expected at most 128 answers in all',
    ],
    [
      'the prompt again',
      '/v1/completions',
      { model: 'tiny', prompt: 'a', echo: true },
      'echo: the prompt is not repeated',
    ],
    [
      'a response that is stored',
      '/v1/responses',
      { model: 'tiny', input: 'a', previous_response_id: 'resp_1' },
      'previous_response_id: this server keeps no responses; send all items of the conversation as input',
    ],
    [
      'tools of the server',
      '/v1/responses',
      { model: 'tiny', input: 'a', tools: [{ type: 'web_search' }] },
      'tools.0.type: only tools of the client are possible',
    ],
    [
      'items that are unknown',
      '/v1/responses',
      { model: 'tiny', input: [{ type: 'computer_call' }] },
      'input.0.type: type: expected message, function_call',
    ],
    [
      'documents',
      '/v1/messages',
      { model: 'tiny', max_tokens: 1, messages: [user([{ type: 'document' }])] },
      'messages.0.content.0.type: type: expected text, thinking, tool_use or tool_result',
    ],
    [
      'results of tools by the assistant',
      '/v1/messages',
      {
        model: 'tiny',
        max_tokens: 1,
        messages: [{ role: 'assistant', content: [{ type: 'tool_result', tool_use_id: 'a' }] }],
      },
      'messages.0.content.0.type: found tool_result, expected text or thinking',
    ],
    ['no length', '/v1/messages', { model: 'tiny', messages: [user('Hi')] }, 'max_tokens: Invalid input'],
    [
      'another model',
      CHAT,
      chat({ model: 'gpt-9' }),
      'model: found gpt-9, expected tiny or small; forge serve --name serves it under another name',
    ],
  ])('is told so: %s', async (_, path, body, message) => {
    const { status, body: answer } = await post(gateway.url + path, body);
    expect(status).toBe(message.startsWith('model:') ? 404 : 400);
    const { error } = answer as { error: { message: string; param?: string } };
    expect(error.message.slice(0, message.length)).toBe(message);
    if (path !== '/v1/messages') expect(error.param).toBe(/^[\w.]+(?=:)/.exec(message)![0]);
    expect(policy.asked).toEqual([]);
  });

  it('is one that is too deep, too large, no JSON, or nowhere', async () => {
    const deep = '['.repeat(70) + ']'.repeat(70);
    const tools = `[{"type":"function","function":{"name":"f","parameters":{"a":${deep}}}}]`;
    const nested = await post(gateway.url + CHAT, `{"model":"tiny","messages":[],"tools":${tools}}`);
    expect(nested.body.error).toMatchObject({
      message: 'the body has more than 64 levels of objects and lists',
    });
    const large = await post(gateway.url + CHAT, chat({ messages: [user('x'.repeat(9 * 2 ** 20))] }));
    expect(large).toMatchObject({ status: 413, body: { error: { type: 'invalid_request_error' } } });
    expect((await post(gateway.url + CHAT, '{"model"')).status).toBe(400);
    const nowhere = await post(`${gateway.url}/v1/nothing`, {});
    expect(nowhere).toMatchObject({
      status: 404,
      body: { error: { message: 'there is no POST /v1/nothing' } },
    });
    expect(nowhere.headers.get('x-request-id')).toMatch(/^req_/);
  });

  it('does no harm, whatever it has in it', async () => {
    const random = seededRandom(7);
    const statuses = new Set<number>();
    for (let i = 0; i < 400; i++) {
      const [path, body] = Object.entries(BODIES)[i % 4]!;
      const { text } = hostileJson(random, { ...body, tools: [], stop: 'x', n: 1, temperature: 1 });
      const response = await fetch(gateway.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: text,
      });
      await response.text();
      statuses.add(response.status);
    }
    expect([...statuses].filter((status) => ![200, 400, 404, 413, 415].includes(status))).toEqual([]);
    expect(statuses.size).toBeGreaterThan(1);
    expect(gateway.warnings).toEqual([]);
    expect((await post(gateway.url + CHAT, chat())).status).toBe(200);
  });

  it('takes fields that are null or unknown, as other servers do', async () => {
    for (const [path, body] of Object.entries(BODIES)) {
      const more = {
        temperature: null,
        stream: null,
        tools: null,
        user: 'me',
        metadata: null,
        unheard_of: 1,
      };
      expect(await post(gateway.url + path, { ...body, ...more })).toMatchObject({ status: 200 });
    }
    expect(await post(gateway.url + CHAT, chat({ model: 'small' }))).toMatchObject({
      body: { model: 'tiny' },
    });
  });
});

describe('a key', () => {
  it('is asked for in every API, but by who asks whether the server is there', async () => {
    await serve({ apiKey: 'sk-secret' });
    for (const [path, body] of Object.entries(BODIES)) {
      expect((await post(gateway.url + path, body)).status).toBe(401);
      expect((await post(gateway.url + path, body, { 'x-api-key': 'sk-secret' })).status).toBe(200);
      expect((await post(gateway.url + path, body, { authorization: 'Bearer sk-secret' })).status).toBe(200);
      expect((await post(gateway.url + path, body, { authorization: 'Bearer sk-secreT' })).status).toBe(401);
    }
    expect(await (await fetch(`${gateway.url}/health`)).json()).toEqual({ status: 'ok' });
  });
});

describe('calls', () => {
  it('are cancelled when their client leaves, streamed or not', async () => {
    await serve();
    policy.chunkMs = 20;
    for (const stream of [true, false]) {
      const before = policy.cancelled;
      const leaving = new AbortController();
      const response = fetch(gateway.url + CHAT, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(chat({ stream })),
        signal: leaving.signal,
      });
      response.catch(() => undefined);
      if (stream) await response;
      else await setTimeout(60);
      leaving.abort();
      await waitFor('the end of the call', () => policy.cancelled > before);
    }
    expect(gateway.warnings).toEqual([]);
  });

  it('beyond the limit are told to come again', async () => {
    await serve({ limits: { maxCalls: 1 } });
    policy.chunkMs = 20;
    const first = post(gateway.url + CHAT, chat());
    await waitFor('the first call', () => policy.asked.length > 0);
    const second = await post(gateway.url + CHAT, chat());
    expect(second).toMatchObject({ status: 429, body: { error: { type: 'rate_limit_error' } } });
    expect(second.headers.get('retry-after')).toBe('1');
    expect((await first).status).toBe(200);
    expect((await post(gateway.url + CHAT, chat())).status).toBe(200);
  });

  it('under way are answered when the server ends, and cancelled where that takes too long', async () => {
    for (const [drainMs, status] of [
      [10_000, 200],
      [10, 503],
    ] as const) {
      await serve();
      policy.chunkMs = 20;
      const call = post(gateway.url + CHAT, chat());
      await waitFor('the call', () => policy.asked.length > 0);
      await gateway.close(drainMs);
      expect((await call).status).toBe(status);
      await expect(fetch(gateway.url)).rejects.toThrow('fetch failed');
    }
  });

  it('end with an error in the stream where the answer fails midway', async () => {
    await serve();
    policy.parseAnswer = () => Promise.reject(new Error('boom'));
    for (const path of [CHAT, '/v1/responses', '/v1/messages']) {
      const response = await fetch(gateway.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...BODIES[path], stream: true, max_tokens: 100 }),
      });
      const last = (await response.text()).trim().split('\n\n').at(-1)!;
      expect(last).toMatch(
        path === CHAT ? /^data: \{"error":\{"message":"boom"/ : /^event: error\ndata: .*boom/,
      );
    }
    expect(gateway.warnings).toHaveLength(3);
  });
});

describe('the port', () => {
  it('is told when it is taken', async () => {
    await serve();
    const port = Number(new URL(gateway.url).port);
    await expect(startGateway(policy, { port })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `port ${port} of 127.0.0.1 is taken; choose another one, or none for a free one`,
    });
  });

  it('answers what is no HTTP with 400', async () => {
    await serve();
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
    socket.end('nonsense\r\n\r\n');
    let answer = '';
    for await (const part of socket) answer += String(part);
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
  });
});
