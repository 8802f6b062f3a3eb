import Anthropic from '@anthropic-ai/sdk';
import { MAX_REWARD } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { hostileJson, seededRandom, waitFor } from '@forge/testing';
import OpenAI from 'openai';
import { post } from '../gateway.fixture';
import { startSessions, TOKEN, type StandIns } from './session-stand-ins.fixture';

const SAMPLE = { id: 'sum-1', prompt: '1+1=', answer: '2' };
const CHAT = '/v1/chat/completions';
const ask = (content = 'Hi') => ({ model: 'gpt-5', messages: [{ role: 'user' as const, content }] });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const lost = () => new ForgeError('TRANSIENT_REPLICA_LOST', 'the policy died');

const BODIES: Readonly<Record<string, object>> = {
  '/rl/start_session': { task_id: 'sum-1', group_size: 2 },
  '/rl/set_reward': { reward: 1, session_id: '7-0' },
  '/rl/end_session': { session_id: '7-0' },
  [CHAT]: ask(),
};

let at: StandIns;
async function begin(...given: Parameters<typeof startSessions>): Promise<{ ids: string[]; keys: string[] }> {
  at = await startSessions(...given);
  at.directory.offer('7', SAMPLE);
  const { body } = await post(`${at.gateway.url}/rl/start_session`, {}, bearer(TOKEN));
  const sessions = body.sessions as { session_id: string; session_api_key: string }[];
  return {
    ids: sessions.map(({ session_id }) => session_id),
    keys: sessions.map(({ session_api_key }) => session_api_key),
  };
}
afterEach(() => at.gateway.close(0));

/** Status and message of a request that is refused. */
async function refusal(path: string, body: object, headers: Record<string, string>) {
  const answer = await post(at.gateway.url + path, body, headers);
  const { message, code } = (answer.body.error ?? {}) as { message?: string; code?: string };
  return { status: answer.status, message, code, headers: answer.headers };
}

describe('a session', () => {
  it('is taken with its whole group, the oldest or that of a task', async () => {
    await begin('Hello');
    at.directory.offer('8', { ...SAMPLE, id: 'sum-2' });
    at.directory.offer('9', { ...SAMPLE, id: 'sum-3' });
    const start = (body: object) => post(`${at.gateway.url}/rl/start_session`, body, bearer(TOKEN));
    const named = await start({ task_id: 'sum-3', group_size: 2 });
    expect(named).toMatchObject({
      status: 201,
      body: { group_id: '9', task_id: 'sum-3', sample: { ...SAMPLE, id: 'sum-3' } },
    });
    expect(named.body.sessions).toEqual([
      { session_id: '9-0', session_api_key: expect.stringMatching(/^sk-forge-.{43}$/) as string },
      { session_id: '9-1', session_api_key: expect.stringMatching(/^sk-forge-.{43}$/) as string },
    ]);
    expect((await start({})).body).toMatchObject({ group_id: '8' });
    const none = await start({});
    expect(none).toMatchObject({ status: 429, body: { error: { type: 'rate_limit_error' } } });
    expect(none.headers.get('retry-after')).toBe('1');
    expect(await refusal('/rl/start_session', { group_size: 4 }, bearer(TOKEN))).toMatchObject({
      status: 400,
      message: 'group_size: found 4, expected 2, which is algorithm.groupSize of the recipe',
    });
  });

  it('is the same one for a request of the same name, whose answer may have been lost', async () => {
    await begin('Hello');
    at.directory.offer('8', SAMPLE);
    const start = (name: string) =>
      post(`${at.gateway.url}/rl/start_session`, {}, { ...bearer(TOKEN), 'idempotency-key': name });
    const first = await start('a');
    expect(first).toMatchObject({ status: 201, body: { group_id: '8' } });
    expect((await start('a')).body).toEqual(first.body);
    expect((await start('b')).status).toBe(429);
  });

  it('is told by key, path and header, whichever client calls', async () => {
    const { ids, keys } = await begin(({ length }) => `Answer ${length}`);
    const openAi = new OpenAI({ baseURL: `${at.gateway.url}/v1`, apiKey: keys[0]!, maxRetries: 0 });
    const answer = await openAi.chat.completions.create(ask());
    expect(answer).toMatchObject({ model: 'gpt-5', choices: [{ message: { content: 'Answer 1' } }] });
    const anthropic = new Anthropic({ baseURL: at.gateway.url, apiKey: keys[1]!, maxRetries: 0 });
    await anthropic.messages.create({ ...ask(), max_tokens: 8 });
    const byPath = new OpenAI({ baseURL: `${at.gateway.url}/sessions/${ids[1]}/v1`, apiKey: TOKEN });
    await byPath.responses.create({ model: 'm', input: 'Hi' });
    await post(at.gateway.url + CHAT, ask(), { ...bearer(TOKEN), 'x-session-id': ids[0]! });
    expect(at.replicas.came.map(({ call }) => call.sessionId)).toEqual([ids[0], ids[1], ids[1], ids[0]]);
    // Sampling is the run's but for its end: the run trains what it draws.
    expect(at.replicas.came[1]!.call.maxTokens).toBe(8);
    expect((await openAi.models.list()).data).toMatchObject([{ id: 'trained' }]);
    const counted = await anthropic.messages.countTokens(ask());
    expect(counted.input_tokens).toBeGreaterThan(10);
  });

  it('answers in a stream of events, with calls of tools, token ids and log-probs', async () => {
    const { keys } = await begin(
      '<think>\nHm\n</think>\n\n<tool_call>\n{"name":"add","arguments":{"a":1}}\n</tool_call>',
    );
    const client = new OpenAI({ baseURL: `${at.gateway.url}/v1`, apiKey: keys[0]!, maxRetries: 0 });
    const tools = [{ type: 'function' as const, function: { name: 'add', parameters: { type: 'object' } } }];
    const stream = client.chat.completions.stream({ ...ask(), tools });
    const whole = await stream.finalChatCompletion();
    expect(whole.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [{ function: { name: 'add', arguments: '{"a":1}' } }] },
    });
    const plain = await post(
      at.gateway.url + CHAT,
      { ...ask(), tools, logprobs: true, return_token_ids: true },
      bearer(keys[1]!),
    );
    const [choice] = plain.body.choices as { token_ids: number[]; logprobs: { content: object[] } }[];
    expect(choice!.token_ids.length).toBe(choice!.logprobs.content.length);
    expect(plain.body.prompt_token_ids).toEqual(expect.arrayContaining([123]));
  });

  it('tells an answer up to the stop string of the client', async () => {
    const { keys } = await begin('Let me look. Observation: none');
    const client = new OpenAI({ baseURL: `${at.gateway.url}/v1`, apiKey: keys[0]!, maxRetries: 0 });
    const { choices } = await client.chat.completions.create({
      ...ask(),
      stop: ['Observation:', 'Thought:'],
    });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'Let me look. ' } });
    const anthropic = new Anthropic({ baseURL: at.gateway.url, apiKey: keys[1]!, maxRetries: 0 });
    const stops = { stop_sequences: ['Thought:', 'Observation:'], max_tokens: 100 };
    expect(await anthropic.messages.create({ ...ask(), ...stops })).toMatchObject({
      ...{ stop_reason: 'stop_sequence', stop_sequence: 'Observation:' },
      content: [{ type: 'text', text: 'Let me look. ' }],
    });
  });

  it('takes rewards until it ends, and no call from then on', async () => {
    const { ids, keys } = await begin('Hello');
    const of = (path: string, body: object, key: string) => post(at.gateway.url + path, body, bearer(key));
    for (const reward of [MAX_REWARD, 0.25, 1])
      expect(await of('/rl/set_reward', { reward }, keys[0]!)).toMatchObject({
        status: 200,
        body: { message: 'success', session_id: ids[0] },
      });
    await of('/rl/set_reward', { reward: -1, session_id: ids[1] }, TOKEN);
    expect([...at.directory.sessions.values()].map(({ reward }) => reward)).toEqual([1, -1]);
    for (let again = 0; again < 2; again++)
      expect(await of('/rl/end_session', {}, keys[0]!)).toMatchObject({ status: 200 });
    expect(at.replicas.ends).toContain(ids[0]);
    const over = {
      status: 409,
      message: `session ${ids[0]} is over; start another one`,
      code: 'session_over',
    };
    for (const [path, body] of [
      [CHAT, ask()],
      ['/rl/set_reward', { reward: 1 }],
    ] as const) {
      const refused = await refusal(path, body, bearer(keys[0]!));
      expect(refused).toMatchObject(over);
      expect(refused.headers.get('x-should-retry')).toBe('false');
    }
    const anthropic = new Anthropic({ baseURL: at.gateway.url, apiKey: keys[0]! });
    await expect(anthropic.messages.create({ ...ask(), max_tokens: 8 })).rejects.toMatchObject({
      status: 409,
      error: { type: 'error', error: { type: 'invalid_request_error' } },
    });
    expect(at.replicas.came).toEqual([]);
  });
});

describe('who may do what', () => {
  it('is told by the key: no other session, no sessions handed out, nothing without one', async () => {
    const { ids, keys } = await begin('Hello');
    const [mine, theirs] = [keys[0]!, ids[1]!];
    const chat = (headers: Record<string, string>, path = CHAT) => refusal(path, ask(), headers);
    const wrong = `the key is not that of session ${theirs}`;
    expect(await chat({})).toMatchObject({ status: 401, code: 'invalid_api_key' });
    expect(await chat(bearer('sk-forge-made-up'))).toMatchObject({ status: 401 });
    expect((await chat(bearer(mine), `/sessions/${theirs}${CHAT}`)).message).toContain(wrong);
    expect((await chat({ ...bearer(mine), 'x-session-id': theirs })).message).toContain(wrong);
    for (const path of ['/rl/set_reward', '/rl/end_session'])
      expect(await refusal(path, { reward: 1, session_id: theirs }, bearer(mine))).toMatchObject({
        status: 401,
      });
    expect(await refusal('/rl/start_session', {}, bearer(mine))).toMatchObject({ status: 401 });
    expect(await chat(bearer(TOKEN))).toMatchObject({
      status: 400,
      message: expect.stringContaining('name one'),
    });
    expect(await chat(bearer(TOKEN), `/sessions/none${CHAT}`)).toMatchObject({
      status: 404,
      code: 'session_not_found',
    });
    expect((await fetch(`${at.gateway.url}/v1/models`)).status).toBe(401);
    expect((await fetch(`${at.gateway.url}/health`)).status).toBe(200);
    expect(at.replicas.came).toEqual([]);
    expect(at.directory.sessions.get(theirs)).toMatchObject({ state: 'open', reward: null });
  });

  it.each<[string, string, object, string]>([
    ['several answers', CHAT, { ...ask(), n: 2 }, 'n: expected 1'],
    ['a text', '/v1/completions', { model: 'm', prompt: 'Hi' }, 'a session is made of messages'],
    ['no reward', '/rl/set_reward', {}, 'reward: '],
    ['a reward that is no number', '/rl/set_reward', { reward: 'much' }, 'reward: '],
    ['a reward that is too large', '/rl/set_reward', { reward: 1.01 * MAX_REWARD }, 'reward: '],
    [
      'a reward for a part',
      '/rl/set_reward',
      { reward: 1, interaction_id: 'x' },
      'interaction_id: a reward is',
    ],
  ])('%s is refused by name', async (_, path, body, message) => {
    const { keys } = await begin('Hello');
    expect(await refusal(path, body, bearer(keys[0]!))).toMatchObject({
      status: 400,
      message: expect.stringContaining(message),
    });
  });

  it('no body makes the server fail', async () => {
    const { keys } = await begin('Hello');
    const random = seededRandom(3);
    for (let i = 0; i < 300; i++) {
      const path = Object.keys(BODIES)[i % 4]!;
      const key = i % 3 === 0 ? TOKEN : keys[0]!;
      const { text } = hostileJson(random, BODIES[path]!);
      const name = text.replace(/[^\x21-\x7e]/g, '').slice(0, 100);
      const headers = { ...bearer(key), ...(i % 5 === 0 && { 'x-session-id': name }) };
      const { status } = await post(at.gateway.url + path, text, headers);
      expect([200, 201, 400, 401, 404, 409, 429]).toContain(status);
    }
  });
});

describe('a call', () => {
  it('that is sent again is answered by what is kept, and only then', async () => {
    const { keys } = await begin('Hello');
    const send = (headers: Record<string, string> = {}) =>
      post(at.gateway.url + CHAT, ask(), { ...bearer(keys[0]!), ...headers });
    await send({ 'x-stainless-retry-count': '0' });
    await send({ 'x-stainless-retry-count': '1' });
    await send();
    await send({ 'idempotency-key': 'a' });
    await send({ 'idempotency-key': 'b' });
    const calls = at.replicas.came.map(({ call }) => call);
    expect(calls.map(({ isRetry }) => isRetry)).toEqual([false, true, false, true, true]);
    const digests = calls.map(({ digest }) => digest);
    expect(new Set(digests.slice(0, 3)).size).toBe(1);
    expect(new Set(digests).size).toBe(3);
    await post(at.gateway.url + CHAT, ask('Hi there'), bearer(keys[0]!));
    expect(digests).not.toContain(at.replicas.came.at(-1)!.call.digest);
  });

  it('goes on at the replica that takes up the session of one that died', async () => {
    const { ids, keys } = await begin('Hello');
    const session = at.directory.sessions.get(ids[0]!)!;
    at.replicas.before = async (replica) => {
      if (replica === '1') return;
      at.replicas.there.delete('0');
      setTimeout(() => at.replicas.there.add('1') && (session.replica = '1'), 300);
      throw lost();
    };
    expect(await post(at.gateway.url + CHAT, ask(), bearer(keys[0]!))).toMatchObject({ status: 200 });
    expect(at.replicas.came.map(({ replica, call }) => [replica, call.isRetry])).toEqual([
      ['0', false],
      ['1', true],
    ]);
  });

  it('does not wait for a replica that hangs while another has the session', async () => {
    const { ids, keys } = await begin('Hello', { patienceMs: 60_000 });
    const session = at.directory.sessions.get(ids[0]!)!;
    at.replicas.before = (replica) => (replica === '0' ? new Promise(() => undefined) : Promise.resolve());
    const answer = post(at.gateway.url + CHAT, ask(), bearer(keys[0]!));
    await waitFor('the call', () => at.replicas.came.length > 0);
    at.replicas.there.add('1');
    session.replica = '1';
    expect((await answer).status).toBe(200);
  });

  it('is told to come again where no policy takes the session up in time', async () => {
    const { keys } = await begin('Hello', { patienceMs: 300 });
    at.replicas.there.clear();
    expect(await refusal(CHAT, ask(), bearer(keys[0]!))).toMatchObject({
      status: 503,
      code: 'TRANSIENT_SERVICE_UNAVAILABLE',
    });
  });

  it('beyond the limits of its session is told so, once', async () => {
    const { keys } = await begin('Hello');
    at.replicas.before = () =>
      Promise.reject(new ForgeError('CAPACITY_SESSION_LIMIT', 'the session has had its 8 answers'));
    const client = new OpenAI({ baseURL: `${at.gateway.url}/v1`, apiKey: keys[0]!, maxRetries: 5 });
    await expect(client.chat.completions.create(ask())).rejects.toMatchObject({
      status: 429,
      code: 'session_limit',
    });
    expect(at.replicas.came).toHaveLength(1);
  });
});

it('says that the run is over to who asks for a session of it', async () => {
  at = await startSessions('Hello', { goesOn: false });
  expect(await refusal('/rl/start_session', {}, bearer(TOKEN))).toMatchObject({
    status: 409,
    code: 'run_over',
  });
});
