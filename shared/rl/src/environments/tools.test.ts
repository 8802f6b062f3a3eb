import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { toolRollout } from './interactive-rollout';
import { rollOut } from './rollout.fixture';
import { call } from './scripted-policy.fixture';
import { defineTools, joinTools, tool, type ToolSet } from './tools';

const multiply = defineTools({
  multiply: {
    description: 'Multiplies two numbers.',
    parameters: z.object({ a: z.number(), b: z.number().default(2) }),
    run: ({ a, b }) => a * b,
  },
});

/** Calls the tool with the arguments, then answers what it was told. */
const callOnce =
  (name: string, args: Record<string, unknown>) =>
  (messages: readonly { role: string; content: string }[]) => {
    const last = messages.at(-1)!;
    return last.role === 'tool' ? last.content : [call(name, args)];
  };

/** Answer that the model is told when it calls the tool. */
async function told(
  tools: ToolSet,
  name: string,
  args: Record<string, unknown>,
): Promise<string | undefined> {
  return (await rollOut(toolRollout({ tools }), callOnce(name, args))).said.at(-1);
}

describe('a rollout with tools', () => {
  it('lets the model call a tool until it answers without, and scores that answer', async () => {
    const { episodes, policy, counts } = await rollOut(
      toolRollout({ tools: multiply, system: 'Use tools.', maxTurns: 4 }),
      callOnce('multiply', { a: 12, b: 34 }),
    );
    const [conversation] = policy.conversations;
    expect(conversation!.messages).toEqual([
      { role: 'system', content: 'Use tools.' },
      { role: 'user', content: '12*34=' },
      { role: 'assistant', content: '', toolCalls: [call('multiply', { a: 12, b: 34 })] },
      { role: 'tool', content: '408', toolCallId: 'multiply-1', name: 'multiply' },
      { role: 'assistant', content: '408' },
    ]);
    expect(conversation!.options).toMatchObject({ maxTurns: 4 });
    expect(episodes.map(({ reward, rewards }) => [reward, rewards])).toEqual([[1, { exact: 1 }]]);
    expect(counts).toEqual({ 'tools/multiply/calls': 1, 'tools/multiply/ms': 1 });
  });

  it('offers a tool with its description and the JSON Schema of its arguments', async () => {
    const { policy } = await rollOut(toolRollout({ tools: multiply }), () => 'no');
    expect(policy.conversations[0]!.options.tools).toEqual([
      {
        name: 'multiply',
        description: 'Multiplies two numbers.',
        parameters: {
          type: 'object',
          properties: { a: { type: 'number' }, b: { type: 'number', default: 2 } },
          required: ['a'],
        },
      },
    ]);
  });

  it('gives a tool what its schema has parsed, defaults included', async () => {
    expect(await told(multiply, 'multiply', { a: 21 })).toBe('42');
  });

  it.each([
    [
      'an unknown tool',
      'divide',
      {},
      "Error: there is no tool 'divide', only multiply",
      'tools/unknown_calls',
    ],
    [
      'invalid arguments',
      'multiply',
      { a: 'x', b: 1 },
      'Error: invalid arguments: a: Invalid input: expected number, received string',
      'tools/multiply/errors',
    ],
  ])('tells the model of %s', async (_what, name, args, message, metric) => {
    const { said, counts } = await rollOut(toolRollout({ tools: multiply }), callOnce(name, args));
    expect(said.at(-1)).toBe(message);
    expect(counts[metric]).toBe(1);
  });

  it('tells the model of an error of a tool, and of a call that takes too long, whose signal is aborted', async () => {
    let isAborted = false;
    const tools = defineTools({
      fail: {
        description: '',
        parameters: z.object({}),
        run: () => Promise.reject(new RangeError('no such page')),
      },
      hang: {
        description: '',
        parameters: z.object({}),
        timeoutMs: 5,
        run: (_args, { signal }) =>
          new Promise(() => signal.addEventListener('abort', () => (isAborted = true))),
      },
    });
    expect(await told(tools, 'fail', {})).toBe('Error: no such page');
    expect(await told(tools, 'hang', {})).toBe('Error: it took longer than 5 ms');
    expect(isAborted).toBe(true);
  });

  it('fails with a ForgeError of a tool, which names tool and sample', async () => {
    const run = () => {
      throw new ForgeError('TRANSIENT_HUB_UNREACHABLE', 'no answer', { status: 503 });
    };
    const tools = defineTools({ search: { description: '', parameters: z.object({}), run } });
    await expect(rollOut(toolRollout({ tools }), callOnce('search', {}))).rejects.toMatchObject({
      code: 'TRANSIENT_HUB_UNREACHABLE',
      message: "tool 'search' for sample 's': no answer",
      details: { tool: 'search', sampleId: 's', status: 503 },
    });
  });

  it('answers several calls of one turn in their order, at most so many at a time', async () => {
    let running = 0;
    let most = 0;
    const tools = defineTools({
      wait: {
        description: '',
        parameters: z.object({ turns: z.int() }),
        maxConcurrent: 2,
        async run({ turns }) {
          most = Math.max(most, ++running);
          for (let i = 0; i < turns; i++) await Promise.resolve();
          running -= 1;
          return turns;
        },
      },
    });
    const { said } = await rollOut(
      toolRollout({ tools }),
      (messages) =>
        messages.length > 1 ? 'done' : [40, 10, 20, 1].map((turns, i) => call('wait', { turns }, `c${i}`)),
      { groupSize: 3 },
    );
    expect(said.slice(2, -1)).toEqual(['40', '10', '20', '1']);
    expect(most).toBe(2);
  });

  it('ends with the turn that was the last one allowed, and scores what was said then', async () => {
    const { said, episodes } = await rollOut(toolRollout({ tools: multiply, maxTurns: 2 }), () => [
      call('multiply', { a: 1 }),
    ]);
    expect(said).toEqual(['12*34=', '', '2', '', '2']);
    expect(episodes[0]!.reward).toBe(0);
  });

  it('gives calls the same random numbers in all rollouts of a group and when it runs again', async () => {
    const tools = defineTools({
      roll: { description: '', parameters: z.object({}), run: (_args, { random }) => [random(), random()] },
    });
    const rolled = async (seed: string) => {
      const twice = (messages: readonly unknown[]) => (messages.length < 5 ? [call('roll', {})] : 'done');
      const { policy } = await rollOut(toolRollout({ tools }), twice, { groupSize: 2, seed });
      return policy.conversations.map(({ messages }) =>
        messages.filter(({ role }) => role === 'tool').map(({ content }) => content),
      );
    };
    const [one, other] = await rolled('1/7');
    expect(one).toEqual(other);
    expect(new Set(one!.flatMap((content) => JSON.parse(content) as number[])).size).toBe(4);
    expect(await rolled('1/7')).toEqual([one, one]);
    expect((await rolled('1/8'))[0]).not.toEqual(one);
  });
});

describe('tools made for one rollout', () => {
  const counters = (closed: number[]): ToolSet =>
    defineTools(async ({ sample }) => {
      let count = 0;
      await Promise.resolve();
      return {
        tools: {
          next: tool({
            description: `Counts for ${sample.id}.`,
            parameters: z.object({ by: z.int() }),
            run: ({ by }) => (count += by),
          }),
        },
        close: () => closed.push(count),
      };
    });

  it('have state of their own and are closed once at the end', async () => {
    const closed: number[] = [];
    const script = (messages: readonly unknown[], k: number) =>
      messages.length < 2 * k + 2 ? [call('next', { by: 1 })] : 'done';
    const { policy } = await rollOut(toolRollout({ tools: counters(closed) }), script, { groupSize: 3 });
    expect(closed).toEqual([1, 2, 3]);
    expect(policy.conversations[0]!.options.tools?.[0]?.description).toBe('Counts for s.');
  });

  it('are closed when the policy fails, when another set-up fails and when the rollout is aborted', async () => {
    const closed: number[] = [];
    const tools = counters(closed);
    const failing = () => Promise.reject(new Error('no policy'));
    await expect(rollOut(toolRollout({ tools }), failing, { groupSize: 2 })).rejects.toThrow('no policy');
    expect(closed).toEqual([0, 0]);

    const broken = defineTools(() => Promise.reject(new Error('no container')));
    await expect(
      rollOut(toolRollout({ tools: joinTools([tools, broken]) }), () => 'done'),
    ).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message: "tool 'set-up' for sample 's': no container",
      details: { sampleId: 's' },
    });
    expect(closed).toEqual([0, 0, 0]);

    const ending = new AbortController();
    const abort = () => {
      ending.abort(new ForgeError('CANCELLED', 'the policy is draining'));
      return [call('next', { by: 1 })];
    };
    await expect(rollOut(toolRollout({ tools }), abort, { signal: ending.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(closed).toHaveLength(4);
  });

  it('whose tear-down fails keep their result, and the failure is counted', async () => {
    const tools = defineTools(() => ({
      tools: { nothing: { description: '', parameters: z.object({}), run: () => '' } },
      close: () => Promise.reject(new Error('gone')),
    }));
    const { episodes, counts } = await rollOut(toolRollout({ tools }), () => '408');
    expect([episodes[0]!.reward, counts['tools/failures']]).toEqual([1, 1]);
  });
});

describe('defineTools', () => {
  const plain = { description: '', parameters: z.object({}), run: () => '' };

  it.each([
    ['no tools', {}, 'tools: found none'],
    ['a name that chat templates break', { 'a b': plain }, "tools: found the name 'a b'"],
    [
      'a bound below 1',
      { a: { ...plain, maxConcurrent: 0 } },
      'tools: a.maxConcurrent: found 0, expected >= 1',
    ],
    [
      'arguments without a JSON Schema',
      { a: { ...plain, parameters: z.object({ when: z.date() }) } },
      'tools: a.parameters: Date cannot be represented in JSON Schema',
    ],
  ])('refuses %s', (_what, tools, message) => {
    expect(() => defineTools(tools as never)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => defineTools(tools as never)).toThrow(message);
  });

  it('refuses two tools of one name when a rollout begins', async () => {
    const twice = joinTools([multiply, multiply]);
    await expect(rollOut(toolRollout({ tools: twice }), () => '')).rejects.toThrow(
      "found two named 'multiply', expected different names",
    );
  });
});
