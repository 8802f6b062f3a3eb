/**
 * An agent as one writes it with the SDK of OpenAI: it answers a question with the help of a calculator. It knows nothing of
 * Forge, which sets OPENAI_BASE_URL and OPENAI_API_KEY, hands over a sample, and judges the last answer.
 */
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';

const calculator = {
  type: 'function',
  function: {
    name: 'calculator',
    description: 'Computes an expression of numbers, + - * / and parentheses.',
    parameters: {
      type: 'object',
      properties: { expression: { type: 'string', description: 'for example 12*(3+4)' } },
      required: ['expression'],
      additionalProperties: false,
    },
  },
};

function calculate(given) {
  try {
    const { expression } = JSON.parse(given);
    if (!/^[\d+\-*/(). ]+$/.test(expression)) throw new Error(`can't compute ${expression}`);
    return String(Function(`return ${expression}`)());
  } catch ({ message }) {
    return `Error: ${message}`;
  }
}

const { prompt } = JSON.parse(readFileSync(0, 'utf8'));
const client = new OpenAI();
const messages = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
for (let turn = 0; turn < 3; turn++) {
  const { choices } = await client.chat.completions.create({
    model: 'policy',
    messages,
    tools: [calculator],
  });
  const { message } = choices[0];
  messages.push(message);
  if (!message.tool_calls) break;
  for (const call of message.tool_calls)
    messages.push({ role: 'tool', tool_call_id: call.id, content: calculate(call.function.arguments) });
}
