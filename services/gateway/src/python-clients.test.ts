import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { ChatMessage } from '@forge/contracts';
import { startGateway } from './gateway.fixture';
import { ScriptedPolicy } from './scripted-policy.fixture';
import type { Gateway } from './service';

/** Agents of Python, as its registry has them: `pip install openai openai-agents 'pydantic-ai-slim[openai]'`. */
const PYTHON = process.env['FORGE_TEST_PYTHON'] ?? 'python3';
const has = (module: string): boolean => spawnSync(PYTHON, ['-c', `import ${module}`]).status === 0;
const itWith = (module: string): jest.It => {
  if (has(module)) return it;
  console.warn(`${PYTHON} (FORGE_TEST_PYTHON) has no module ${module}: it is not tested with the gateway`);
  return it.skip;
};

let gateway: Gateway;
let policy: ScriptedPolicy;
beforeEach(async () => {
  policy = new ScriptedPolicy(calculator, 4);
  gateway = await startGateway(policy);
});
afterEach(() => gateway.close());

/** Adds the number of the answers so far, two times. */
function calculator(messages: readonly ChatMessage[]): string {
  const given = messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
  if (given.length === 2) return `It is ${given.at(-1)}.`;
  const call = { name: 'add', arguments: { a: Number(given.at(-1) ?? 1), b: 2 } };
  return `<tool_call>${JSON.stringify(call)}</tool_call>`;
}

/** What a program prints that finds the gateway by the variables that an agent gets. */
async function printed(program: string): Promise<string> {
  const env = { ...process.env, OPENAI_BASE_URL: `${gateway.url}/v1`, OPENAI_API_KEY: 'sk-forge-k' };
  const { stdout } = await promisify(execFile)(PYTHON, ['-c', program], { env, timeout: 60_000 });
  return stdout.trim();
}

describe('agents of Python', () => {
  itWith('openai')('call tools with the SDK of OpenAI, whole and streamed', async () => {
    const program = `
import json, openai
client = openai.OpenAI(max_retries=0)
tools = [{"type": "function", "function": {"name": "add", "description": "adds",
    "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}}}]
messages = [{"role": "user", "content": "1+2+2?"}]
while True:
    message = client.chat.completions.create(model="tiny", messages=messages, tools=tools).choices[0].message
    messages.append(message)
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        given = json.loads(call.function.arguments)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": str(given["a"] + given["b"])})
stream = client.chat.completions.create(model="tiny", messages=messages[:-1], tools=tools, stream=True)
text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
print(json.dumps([message.content, text, client.responses.create(model="tiny", input="1?", tools=[]).output[0].type]))`;
    expect(JSON.parse(await printed(program))).toEqual(['It is 5.', 'It is 5.', 'function_call']);
  });

  for (const api of ['chat_completions', 'responses'])
    itWith('agents')(`run as openai-agents has them, by ${api}`, async () => {
      const program = `
from agents import Agent, Runner, function_tool, set_default_openai_api, set_tracing_disabled
set_default_openai_api("${api}")
set_tracing_disabled(True)

@function_tool
def add(a: float, b: float) -> str:
    """adds"""
    return str(int(a + b))

agent = Agent(name="adder", instructions="Add.", tools=[add], model="tiny")
print(Runner.run_sync(agent, "1+2+2?").final_output)`;
      expect(await printed(program)).toBe('It is 5.');
      expect(policy.rendered.at(-1)!.messages.map(({ role }) => role)).toEqual([
        ...['system', 'user', 'assistant', 'tool', 'assistant', 'tool'],
      ]);
    });

  itWith('pydantic_ai')('run as Pydantic AI has them', async () => {
    const program = `
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
agent = Agent(OpenAIChatModel("tiny"))

@agent.tool_plain
def add(a: float, b: float) -> str:
    """adds"""
    return str(int(a + b))

print(agent.run_sync("1+2+2?").output)`;
    expect(await printed(program)).toBe('It is 5.');
  });
});
