import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { startGateway } from './gateway.fixture';
import { scriptedCalculator } from './scripted-calculator.fixture';
import { ScriptedPolicy } from './scripted-policy.fixture';
import type { Gateway } from './gateway-server';

/**
 * Agents of frameworks, as their registries have them. They are no part of ours: each is tested where it is installed,
 *
 *   npm install @openai/agents zod, in a directory that FORGE_TEST_MODULES names
 *   pip install openai openai-agents 'pydantic-ai-slim[openai]', for the program that FORGE_TEST_PYTHON names
 */
const { FORGE_TEST_PYTHON: python = 'python3', FORGE_TEST_MODULES: modules = __dirname } = process.env;
const LANGUAGES = {
  python: { command: [python, '-c'], imports: (name: string) => `import ${name}` },
  node: {
    command: [process.execPath, '--input-type=module', '-e'],
    imports: (name: string) => `import '${name}'`,
  },
};
type Language = keyof typeof LANGUAGES;

function itWith(language: Language, module: string): jest.It {
  const { command, imports } = LANGUAGES[language];
  const [program, ...args] = command;
  if (spawnSync(program!, [...args, imports(module)], { cwd: modules }).status === 0) return it;
  console.warn(`${language} has no module ${module}: agents of it are not tested with the gateway`);
  return it.skip;
}

let gateway: Gateway;
let policy: ScriptedPolicy;
beforeEach(async () => {
  policy = new ScriptedPolicy(scriptedCalculator({ thinks: false }), 4);
  gateway = await startGateway(policy);
});
afterEach(() => gateway.close());

/** Output of a program that finds the gateway by the variables that an agent gets. */
async function printed(language: Language, source: string): Promise<string> {
  const env = { ...process.env, OPENAI_BASE_URL: `${gateway.url}/v1`, OPENAI_API_KEY: 'sk-forge-k' };
  const [program, ...args] = LANGUAGES[language].command;
  const options = { env, cwd: modules, timeout: 60_000 };
  return (await promisify(execFile)(program!, [...args, source], options)).stdout.trim();
}

const ROLES = ['system', 'user', 'assistant', 'tool', 'assistant', 'tool'];
const rolesAtLast = (): string[] => policy.rendered.at(-1)!.messages.map(({ role }) => role);

describe('agents of JavaScript', () => {
  for (const api of ['chat_completions', 'responses'])
    itWith('node', '@openai/agents')(`run as @openai/agents has them, by ${api}`, async () => {
      const program = `
        import { Agent, run, setOpenAIAPI, setTracingDisabled, tool } from '@openai/agents';
        import { z } from 'zod';
        setTracingDisabled(true);
        setOpenAIAPI('${api}');
        const parameters = z.object({ a: z.number(), b: z.number() });
        const add = tool({ name: 'add', description: 'adds', parameters, execute: ({ a, b }) => String(a + b) });
        const agent = new Agent({ name: 'adder', instructions: 'Add.', tools: [add], model: 'tiny' });
        console.log((await run(agent, '1+2+2?')).finalOutput);`;
      expect(await printed('node', program)).toBe('It is 5.');
      expect(rolesAtLast()).toEqual(ROLES);
    });
});

describe('agents of Python', () => {
  itWith('python', 'openai')('call tools with the SDK of OpenAI, whole and streamed', async () => {
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
    expect(JSON.parse(await printed('python', program))).toEqual(['It is 5.', 'It is 5.', 'function_call']);
  });

  for (const api of ['chat_completions', 'responses'])
    itWith('python', 'agents')(`run as openai-agents has them, by ${api}`, async () => {
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
      expect(await printed('python', program)).toBe('It is 5.');
      expect(rolesAtLast()).toEqual(ROLES);
    });

  itWith('python', 'pydantic_ai')('run as Pydantic AI has them', async () => {
    const program = `
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
agent = Agent(OpenAIChatModel("tiny"))

@agent.tool_plain
def add(a: float, b: float) -> str:
    """adds"""
    return str(int(a + b))

print(agent.run_sync("1+2+2?").output)`;
    expect(await printed('python', program)).toBe('It is 5.');
  });
});
