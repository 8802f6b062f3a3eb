import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { startGateway } from './gateway.fixture';
import { scriptedCalculator } from './scripted-calculator.fixture';
import { ScriptedPolicy } from './scripted-policy.fixture';
import type { Gateway } from './gateway-server';

/** The AI SDK with its provider for servers like OpenAI's, as their registry has them. */
let gateway: Gateway;
let policy: ScriptedPolicy;
beforeEach(async () => {
  policy = new ScriptedPolicy(scriptedCalculator({ thinks: true }), 4);
  gateway = await startGateway(policy);
});
afterEach(() => gateway.close());

const add = tool({
  description: 'adds',
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a + b,
});
const request = () => ({
  model: createOpenAICompatible({ name: 'forge', baseURL: `${gateway.url}/v1` })('tiny'),
  prompt: '1+2+2?',
  tools: { add },
  stopWhen: stepCountIs(5),
  maxRetries: 0,
});

describe('tools in several steps, with the AI SDK', () => {
  it('generates text', async () => {
    const { text, steps } = await generateText(request());
    expect(text).toBe('It is 5.');
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'tool-calls', 'stop']);
    expect(steps[0]!.reasoningText).toBe('Step 0.');
    expect(steps.flatMap(({ toolResults }) => toolResults.map(({ output }) => output))).toEqual([3, 5]);
  });

  it('streams text', async () => {
    const result = streamText(request());
    let text = '';
    for await (const delta of result.textStream) text += delta;
    expect(text).toBe('It is 5.');
    const steps = await result.steps;
    expect(steps.flatMap(({ toolResults }) => toolResults.map(({ output }) => output))).toEqual([3, 5]);
    expect(policy.rendered.at(-1)!.messages.map(({ role }) => role)).toEqual([
      ...['user', 'assistant', 'tool', 'assistant', 'tool'],
    ]);
    expect(policy.rendered.at(-1)!.messages[1]).toMatchObject({ reasoning: 'Step 0.' });
  });
});
