import OpenAI from 'openai';
import type { ChatMessage } from '@forge/contracts';
import { startGateway } from './gateway.fixture';
import { ScriptedPolicy, type Script } from './scripted-policy.fixture';
import type { Gateway } from './gateway-server';

/** The SDK of OpenAI, as its registry has it. */
let gateway: Gateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

async function serve(script: Script, chunk?: number) {
  const policy = new ScriptedPolicy(script, chunk);
  gateway = await startGateway(policy, { apiKey: 'sk-secret' });
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'sk-secret', maxRetries: 0 });
  return { policy, client, url: gateway.url };
}

const user = (content: string) => ({ role: 'user' as const, content });
const add = {
  type: 'function' as const,
  function: {
    name: 'add',
    description: 'adds',
    parameters: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
  },
};
const CALL = '<tool_call>{"name":"add","arguments":{"a":2,"b":3}}</tool_call>';
/** Calls the tool, then says what it gave. */
const calculator = (messages: readonly ChatMessage[]): string => {
  const last = messages.at(-1)!;
  return last.role === 'tool' ? `It is ${last.content}.` : `<think>\nI add.\n</think>\n\nOne moment. ${CALL}`;
};

describe('chat completions, with the SDK of OpenAI', () => {
  it('answers with text, usage and the reason of its end', async () => {
    const { client, policy } = await serve('Hällo 👋 there');
    const answer = await client.chat.completions.create({
      model: 'tiny',
      messages: [{ role: 'developer', content: 'Be brief.' }, user('Hi')],
      max_completion_tokens: 50,
      temperature: 0.5,
    });
    expect(answer.choices[0]).toMatchObject({
      index: 0,
      message: { role: 'assistant', content: 'Hällo 👋 there' },
      finish_reason: 'stop',
    });
    const [{ prompt, sampling }] = policy.asked as [ScriptedPolicy['asked'][number]];
    expect(answer.usage).toEqual({
      prompt_tokens: (prompt as { tokenIds: number[] }).tokenIds.length,
      completion_tokens: 17,
      total_tokens: (prompt as { tokenIds: number[] }).tokenIds.length + 17,
    });
    expect(sampling).toEqual({ temperature: 0.5, topP: 1, topK: 0, maxTokens: 50, stop: [] });
    expect(policy.rendered[0]!.messages).toEqual([{ role: 'system', content: 'Be brief.' }, user('Hi')]);
  });

  it('streams what the whole answer has, in chunks that end between characters', async () => {
    const { client } = await serve('Hällo 👋 <b>there</b>', 1);
    const stream = await client.chat.completions.create({
      model: 'tiny',
      messages: [user('Hi')],
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts: string[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      texts.push(chunk.choices[0]?.delta.content ?? '');
      usage = chunk.usage ?? usage;
    }
    expect(texts.join('')).toBe('Hällo 👋 <b>there</b>');
    expect(texts.filter((text) => text !== '').length).toBeGreaterThan(10);
    expect(texts.join('|')).not.toContain('\ufffd');
    expect(usage?.completion_tokens).toBe(Buffer.from('Hällo 👋 <b>there</b>').length);
  });

  it('tells n answers apart, streamed or not, and draws the same for a seed', async () => {
    const { client, policy } = await serve('abcdefghijk');
    const body = { model: 'tiny', messages: [user('Hi')], n: 3, seed: 7, logprobs: true };
    const whole = await client.chat.completions.create(body);
    expect(whole.choices.map(({ index, message }) => [index, message.content])).toEqual(
      [0, 1, 2].map((i) => [i, 'abcdefghijk']),
    );
    const logprobs = whole.choices[1]!.logprobs!.content!;
    expect(logprobs[1]).toEqual({ token: 'b', logprob: -98 / 256, bytes: [98], top_logprobs: [] });
    const streamed = ['', '', ''];
    const tokens: string[][] = [[], [], []];
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true }))
      for (const { index, delta, logprobs: drawn } of choices) {
        streamed[index] += delta.content ?? '';
        tokens[index]!.push(...(drawn?.content ?? []).map(({ token }) => token));
      }
    expect(streamed).toEqual(['abcdefghijk', 'abcdefghijk', 'abcdefghijk']);
    expect(tokens).toEqual(streamed.map((text) => [...text]));
    expect(policy.asked.map(({ rolloutIds }) => rolloutIds)).toEqual([
      ['7-0-0', '7-0-1', '7-0-2'],
      ['7-0-0', '7-0-1', '7-0-2'],
    ]);
  });

  it('tells the log-probs of a character once it is whole, each token once', async () => {
    const { client } = await serve('aé👋z', 1);
    const tokens: string[] = [];
    const stream = await client.chat.completions.create({
      ...{ model: 'tiny', messages: [user('Hi')], logprobs: true, stream: true as const },
    });
    for await (const { choices } of stream)
      tokens.push(...(choices[0]!.logprobs?.content ?? []).map(({ token }) => token));
    expect(tokens).toEqual(['a', '', 'é', '', '', '', '👋', 'z']);
  });

  it('cuts an answer before a stop string, which a stream never shows', async () => {
    const { client } = await serve('one END two');
    const body = { model: 'tiny', messages: [user('Hi')], stop: ['nothing', ' END'] };
    const whole = await client.chat.completions.create(body);
    expect(whole.choices[0]).toMatchObject({ message: { content: 'one' }, finish_reason: 'stop' });
    let text = '';
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true }))
      text += choices[0]?.delta.content ?? '';
    expect(text).toBe('one');
  });

  it('runs the tools of its helper until the model has no more calls', async () => {
    for (const stream of [false, true]) {
      const { client, policy } = await serve(calculator, 3);
      const calls: unknown[] = [];
      const options = {
        ...{ model: 'tiny', messages: [user('2+3?')] },
        tools: [
          {
            type: 'function' as const,
            function: {
              ...add.function,
              parse: JSON.parse,
              function: (given: { a: number; b: number }) => {
                calls.push(given);
                return String(given.a + given.b);
              },
            },
          },
        ],
      };
      const runner = stream
        ? client.chat.completions.runTools({ ...options, stream: true })
        : client.chat.completions.runTools(options);
      expect(await runner.finalContent()).toBe('It is 5.');
      expect(calls).toEqual([{ a: 2, b: 3 }]);
      const [, second] = policy.rendered;
      expect(second!.messages.slice(1)).toEqual([
        {
          role: 'assistant',
          content: 'One moment.',
          ...(second!.messages[1]!.reasoning === undefined ? {} : { reasoning: 'I add.' }),
          toolCalls: [
            { id: expect.stringMatching(/^call_\w+-0$/) as string, name: 'add', arguments: { a: 2, b: 3 } },
          ],
        },
        { role: 'tool', content: '5', toolCallId: second!.messages[1]!.toolCalls![0]!.id },
      ]);
      expect(policy.rendered[0]!.tools).toEqual([
        { name: 'add', description: 'adds', parameters: add.function.parameters },
      ]);
      await gateway!.close();
    }
  });

  it('gives the ids of tokens where they are asked for, and a call whole at the end of a stream', async () => {
    const { client, policy } = await serve(`Hm. ${CALL}`);
    const body = { model: 'tiny', messages: [user('Hi')], tools: [add], return_token_ids: true };
    type WithIds = { token_ids?: number[] };
    const whole = await client.chat.completions.create(body);
    const drawn = [...Buffer.from(`Hm. ${CALL}`)];
    expect((whole.choices[0] as WithIds).token_ids).toEqual(drawn);
    const prompt = (whole as { prompt_token_ids?: number[] }).prompt_token_ids;
    expect(prompt).toEqual((policy.asked[0]!.prompt as { tokenIds: number[] }).tokenIds);
    expect(whole.choices[0]!.message).toMatchObject({
      content: 'Hm.',
      tool_calls: [{ function: { name: 'add' } }],
    });

    const ids: number[] = [];
    let [text, call, finish]: [string, string, string | null] = ['', '', null];
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
      if (ids.length === 0 && 'prompt_token_ids' in chunk) expect(chunk.prompt_token_ids).toEqual(prompt);
      const [choice] = chunk.choices;
      ids.push(...((choice as WithIds).token_ids ?? []));
      text += choice!.delta.content ?? '';
      for (const { function: called } of choice!.delta.tool_calls ?? []) call += called?.arguments ?? '';
      finish = choice!.finish_reason ?? finish;
    }
    expect({ ids, text, call, finish }).toEqual({
      ...{ ids: drawn, text: 'Hm.', call: '{"a":2,"b":3}', finish: 'tool_calls' },
    });
  });

  it('tells only the first call where parallel ones are off', async () => {
    const { client } = await serve(`${CALL}${CALL}`);
    const body = { model: 'tiny', messages: [user('Hi')], tools: [add] };
    const both = await client.chat.completions.create(body);
    expect(both.choices[0]!.message.tool_calls).toHaveLength(2);
    expect(both.choices[0]!.message.content).toBeNull();
    const one = await client.chat.completions.create({ ...body, parallel_tool_calls: false });
    expect(one.choices[0]!.message.tool_calls).toHaveLength(1);
  });

  it('ends an answer that reaches its length', async () => {
    const { client } = await serve('a long story');
    const answer = await client.chat.completions.create({
      model: 'tiny',
      messages: [user('Hi')],
      max_tokens: 6,
    });
    expect(answer.choices[0]).toMatchObject({ message: { content: 'a long' }, finish_reason: 'length' });
  });
});

describe('completions, with the SDK of OpenAI', () => {
  it('continues texts and token ids, with the place of each token', async () => {
    const { client, policy } = await serve('né!', 1);
    const body = { model: 'tiny', prompt: ['a', 'b'], n: 2, logprobs: 0, return_token_ids: true };
    const whole = await client.completions.create(body);
    expect(whole.choices.map(({ index, text }) => [index, text])).toEqual(
      [0, 1, 2, 3].map((i) => [i, 'né!']),
    );
    expect(whole.choices[2]).toMatchObject({
      prompt_token_ids: [98],
      logprobs: { tokens: ['n', '', 'é', '!'], text_offset: [0, 1, 1, 2], top_logprobs: null },
    });
    expect(whole.usage).toEqual({ prompt_tokens: 2, completion_tokens: 16, total_tokens: 18 });
    expect(policy.asked[0]!.sampling.maxTokens).toBe(16);

    const texts = ['', '', '', ''];
    const offsets: number[] = [];
    for await (const { choices } of await client.completions.create({ ...body, stream: true }))
      for (const { index, text, logprobs } of choices) {
        texts[index] += text;
        if (index === 1) offsets.push(...(logprobs?.text_offset ?? []));
      }
    expect(texts).toEqual(['né!', 'né!', 'né!', 'né!']);
    expect(offsets).toEqual([0, 1, 1, 2]);

    const prompt = [...Buffer.from('[]')];
    await client.completions.create({ model: 'tiny', prompt });
    expect(policy.asked.at(-1)!.prompt).toEqual({ tokenIds: prompt });
  });
});

describe('responses, with the SDK of OpenAI', () => {
  it('answers with items, and takes them back with the outputs of functions', async () => {
    const { client, policy } = await serve(calculator);
    const tools = [{ type: 'function' as const, ...add.function, strict: true }];
    const first = await client.responses.create({
      model: 'tiny',
      instructions: 'Add.',
      input: '2+3?',
      tools,
    });
    expect(first.status).toBe('completed');
    expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'function_call']);
    expect(first.output_text).toBe('One moment.');
    const call = first.output.find((item) => item.type === 'function_call')!;
    const second = await client.responses.create({
      ...{ model: 'tiny', tools },
      input: [
        user('2+3?'),
        ...(first.output as OpenAI.Responses.ResponseInputItem[]),
        { type: 'function_call_output', call_id: call.call_id, output: '5' },
      ],
    });
    expect(second.output_text).toBe('It is 5.');
    expect(policy.rendered[1]!.messages).toEqual([
      user('2+3?'),
      {
        role: 'assistant',
        ...{ content: 'One moment.', reasoning: 'I add.' },
        toolCalls: [{ id: call.call_id, name: 'add', arguments: { a: 2, b: 3 } }],
      },
      { role: 'tool', content: '5', toolCallId: call.call_id },
    ]);
    expect(policy.rendered[0]!.messages[0]).toEqual({ role: 'system', content: 'Add.' });
  });

  it('streams events from which the SDK makes the same response', async () => {
    const { client } = await serve(calculator, 3);
    const body = { model: 'tiny', input: '2+3?', include: ['message.output_text.logprobs' as const] };
    const tools = [{ type: 'function' as const, ...add.function, strict: false }];
    const stream = client.responses.stream({ ...body, tools });
    const types: string[] = [];
    const numbers: number[] = [];
    let text = '';
    for await (const event of stream) {
      if (types.at(-1) !== event.type) types.push(event.type);
      numbers.push(event.sequence_number);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    expect(text).toBe('One moment.');
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(types).toEqual([
      ...['response.created', 'response.in_progress', 'response.output_item.added'],
      ...['response.content_part.added', 'response.reasoning_text.delta', 'response.reasoning_text.done'],
      ...['response.content_part.done', 'response.output_item.done'],
      ...['response.output_item.added', 'response.content_part.added', 'response.output_text.delta'],
      ...['response.output_text.done', 'response.content_part.done', 'response.output_item.done'],
      ...['response.output_item.added', 'response.function_call_arguments.delta'],
      ...['response.function_call_arguments.done', 'response.output_item.done', 'response.completed'],
    ]);
    const streamed = await stream.finalResponse();
    const whole = await client.responses.create({ ...body, tools });
    const ofForm = (items: OpenAI.Responses.ResponseOutputItem[]) =>
      JSON.parse(JSON.stringify(items).replace(/_[0-9a-f]{24}/g, '_ID')) as Record<string, unknown>[];
    const plain = ofForm(streamed.output).map(({ parsed_arguments: _, ...item }) => item);
    expect(plain).toMatchObject(ofForm(whole.output));
  });

  it('is incomplete where it was cut off', async () => {
    const { client } = await serve('a long story');
    const cut = await client.responses.create({ model: 'tiny', input: 'Hi', max_output_tokens: 6 });
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
  });
});

describe('errors and models, with the SDK of OpenAI', () => {
  it('are of the classes that the SDK has for them', async () => {
    const { client, policy, url } = await serve('x');
    const ask = (fields: object) =>
      client.chat.completions
        .create({ model: 'tiny', messages: [user('Hi')], ...fields })
        .catch((e: unknown) => e);
    policy.maxPositions = 100;
    expect(await ask({ messages: [user('x'.repeat(200))] })).toMatchObject({
      ...{ status: 400, code: 'context_length_exceeded', type: 'invalid_request_error' },
    });
    expect(await ask({ model: 'other' })).toBeInstanceOf(OpenAI.NotFoundError);
    expect(await ask({ model: 'other' })).toMatchObject({ code: 'model_not_found', param: 'model' });
    expect(await ask({ temperature: -1 })).toMatchObject({ status: 400, param: 'temperature' });
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-other', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(client.get('/nothing')).rejects.toMatchObject({ status: 404 });
  });

  it('lists the model', async () => {
    const { client } = await serve('x');
    expect((await client.models.list()).data).toMatchObject([
      { id: 'tiny', object: 'model', owned_by: 'forge' },
    ]);
    expect(await client.models.retrieve('tiny')).toMatchObject({ id: 'tiny' });
  });

  it('come as an event where a stream has begun', async () => {
    const { client, policy } = await serve('a long story', 1);
    const stream = await client.chat.completions.create({
      model: 'tiny',
      messages: [user('Hi')],
      stream: true,
    });
    policy.tokenTexts = () => Promise.reject(new Error('boom'));
    policy.parseAnswer = () => Promise.reject(new Error('boom'));
    const read = async (): Promise<void> => {
      for await (const { choices } of stream) expect(choices).toHaveLength(1);
    };
    await expect(read()).rejects.toThrow('boom');
  });
});
