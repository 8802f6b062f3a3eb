import Anthropic from '@anthropic-ai/sdk';
import type { ChatMessage } from '@forge/contracts';
import { startGateway } from './gateway.fixture';
import { ScriptedPolicy, type Script } from './scripted-policy.fixture';
import type { Gateway } from './gateway-server';

/** The SDK of Anthropic, as its registry has it. */
let gateway: Gateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

async function serve(script: Script, chunk?: number) {
  const policy = new ScriptedPolicy(script, chunk);
  gateway = await startGateway(policy, { apiKey: 'sk-secret' });
  return { policy, client: new Anthropic({ baseURL: gateway.url, apiKey: 'sk-secret', maxRetries: 0 }) };
}

const user = (content: string) => ({ role: 'user' as const, content });
const body = { model: 'tiny', max_tokens: 200 };
const tools: Anthropic.Tool[] = [
  {
    name: 'add',
    description: 'adds',
    input_schema: { type: 'object', properties: { a: { type: 'number' } } },
  },
];
const calculator = (messages: readonly ChatMessage[]): string => {
  const last = messages.at(-1)!;
  const call = '<tool_call>{"name":"add","arguments":{"a":2,"b":3}}</tool_call>';
  return last.role === 'tool' ? `It is ${last.content}.` : `<think>\nI add.\n</think>\n\nOne moment. ${call}`;
};

describe('messages, with the SDK of Anthropic', () => {
  it('answers with text, usage and the reason of its end', async () => {
    const { client, policy } = await serve('Hällo 👋 there');
    // Newer types of the SDK leave these out.
    const sampling = { temperature: 0.5, top_k: 3 };
    const answer = await client.messages.create({
      ...body,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [user('Hi'), { role: 'assistant', content: [{ type: 'text', text: 'Yes?' }] }, user('Hi!')],
      ...sampling,
    });
    expect(answer).toMatchObject({
      ...{ type: 'message', role: 'assistant', model: 'tiny', stop_reason: 'end_turn', stop_sequence: null },
      content: [{ type: 'text', text: 'Hällo 👋 there' }],
      usage: { output_tokens: 17 },
    });
    expect(policy.rendered[0]!.messages.map(({ role, content }) => `${role}: ${content}`)).toEqual([
      ...['system: Be brief.', 'user: Hi', 'assistant: Yes?', 'user: Hi!'],
    ]);
    expect(policy.asked[0]!.sampling).toEqual({
      temperature: 0.5,
      topP: 1,
      topK: 3,
      maxTokens: 200,
      stop: [],
    });
  });

  it('streams blocks from which the SDK makes the same message', async () => {
    for (const chunk of [1, 3, 1000]) {
      const { client } = await serve(calculator, chunk);
      const request = { ...body, tools, messages: [user('2+3?')] };
      const stream = client.messages.stream(request);
      let [text, thinking] = ['', ''];
      stream.on('text', (delta) => (text += delta)).on('thinking', (delta) => (thinking += delta));
      const streamed = await stream.finalMessage();
      const whole = await client.messages.create(request);
      const plain = (message: Anthropic.Message) =>
        JSON.parse(JSON.stringify(message).replace(/_[0-9a-f]{24}/g, '_ID')) as object;
      expect(plain(streamed)).toMatchObject(plain(whole));
      expect({ text, thinking }).toEqual({ text: 'One moment.', thinking: 'I add.' });
      expect(whole.content.map(({ type }) => type)).toEqual(['thinking', 'text', 'tool_use']);
      expect(whole.stop_reason).toBe('tool_use');
      await gateway!.close();
    }
  });

  it('takes back calls and the results of tools', async () => {
    const { client, policy } = await serve(calculator);
    const first = await client.messages.create({ ...body, tools, messages: [user('2+3?')] });
    const call = first.content.find((block) => block.type === 'tool_use')!;
    const second = await client.messages.create({
      ...{ ...body, tools },
      messages: [
        user('2+3?'),
        { role: 'assistant', content: first.content },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: '5' }] }],
        },
      ],
    });
    expect(second.content).toMatchObject([{ type: 'text', text: 'It is 5.' }]);
    expect(policy.rendered[1]!.messages.slice(1)).toEqual([
      {
        role: 'assistant',
        ...{ content: 'One moment.', reasoning: 'I add.' },
        toolCalls: [{ id: call.id, name: 'add', arguments: { a: 2, b: 3 } }],
      },
      { role: 'tool', content: '5', toolCallId: call.id },
    ]);
  });

  it('names the stop sequence that ended it, and tells when it was too long', async () => {
    const { client } = await serve('one END two');
    const stopped = await client.messages.create({
      ...{ ...body, messages: [user('Hi')] },
      stop_sequences: ['nothing', ' END'],
    });
    expect(stopped).toMatchObject({
      ...{ content: [{ text: 'one' }], stop_reason: 'stop_sequence', stop_sequence: ' END' },
    });
    const cut = await client.messages.create({ ...body, max_tokens: 3, messages: [user('Hi')] });
    expect(cut).toMatchObject({ content: [{ text: 'one' }], stop_reason: 'max_tokens' });
  });

  it('counts tokens and lists the model', async () => {
    const { client, policy } = await serve('x');
    const messages = [user('Hi')];
    const { input_tokens } = await client.messages.countTokens({ model: 'tiny', system: 'S', messages });
    const all = [{ role: 'system' as const, content: 'S' }, ...messages];
    expect(input_tokens).toBe((await policy.renderChat({ messages: all })).length);
    expect((await client.models.list()).data).toMatchObject([{ type: 'model', id: 'tiny' }]);
  });

  it('has errors of the classes that the SDK has for them', async () => {
    const { client } = await serve('x');
    const ask = (fields: object) =>
      client.messages.create({ ...body, messages: [user('Hi')], ...fields }).catch((error: unknown) => error);
    expect(await ask({ model: 'other' })).toBeInstanceOf(Anthropic.NotFoundError);
    expect(await ask({ tool_choice: { type: 'any' }, tools })).toMatchObject({
      status: 400,
      error: {
        type: 'error',
        error: {
          type: 'invalid_request_error',
          message: expect.stringMatching(
            /^tool_choice.type: only "auto" and "none" .* constrained decoding/,
          ) as string,
        },
        request_id: expect.stringMatching(/^req_/) as string,
      },
    });
    expect(await ask({ messages: [user('Hi'), { role: 'assistant', content: 'I' }] })).toMatchObject({
      message: expect.stringContaining('messages: the last one is of the assistant') as string,
    });
    const stranger = new Anthropic({ baseURL: gateway!.url, apiKey: 'no', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(Anthropic.AuthenticationError);
  });
});
