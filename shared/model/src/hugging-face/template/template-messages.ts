import type { ChatMessage, ToolCall, ToolSpec } from '@forge/contracts';
import type { TemplateTraits } from './template-traits';

/** A message with the field names of transformers. */
interface TemplateMessage {
  role: string;
  content: string;
  reasoning_content?: string;
  tool_calls?: {
    type: 'function';
    id: string;
    function: { name: string; arguments: ToolCall['arguments'] };
  }[];
  tool_call_id?: string;
  name?: string;
}

interface TemplateTool {
  type: 'function';
  function: ToolSpec;
}

/** Variables of a chat template. */
export interface TemplateInput {
  messages: TemplateMessage[];
  tools: TemplateTool[] | null;
}

/**
 * Messages and tools as a chat template reads them. What it has no form for is written into the text of a message, so that
 * the model is told of it all the same: tools into the system's, calls and thinking into the answer's, and a tool's answer
 * into the user's.
 */
export function templateInput(
  messages: readonly ChatMessage[],
  tools: readonly ToolSpec[],
  traits: TemplateTraits,
): TemplateInput {
  const told = tools.length === 0 || traits.tools ? messages : withToolPrompt(messages, tools);
  const turns = traits.toolTurns ? told : withoutToolTurns(told);
  return {
    messages: turns.map((message) => templateMessage(message, traits)),
    tools: tools.length > 0 && traits.tools ? tools.map(toolOf) : null,
  };
}

function toolOf(spec: ToolSpec): TemplateTool {
  return { type: 'function', function: spec };
}

function templateMessage(
  { role, content, reasoning, toolCalls = [], toolCallId, name }: ChatMessage,
  { calls, thinking }: TemplateTraits,
): TemplateMessage {
  const isWritten = toolCalls.length > 0 && !calls;
  const said = isWritten ? [content, ...toolCalls.map(writtenCall)].filter(Boolean).join('\n') : content;
  const message: TemplateMessage = { role, content: said };
  if (reasoning !== undefined) {
    if (thinking === 'field') message.reasoning_content = reasoning;
    else message.content = `<think>\n${reasoning}\n</think>\n\n${said}`;
  }
  if (toolCalls.length > 0 && calls)
    message.tool_calls = toolCalls.map(({ id, name, arguments: given }) => ({
      type: 'function',
      id,
      function: { name, arguments: given },
    }));
  if (toolCallId !== undefined) message.tool_call_id = toolCallId;
  if (name !== undefined) message.name = name;
  return message;
}

function writtenCall({ name, arguments: given }: ToolCall): string {
  return `<tool_call>\n${spacedJson({ name, arguments: given })}\n</tool_call>`;
}

/** JSON with a space after commas and colons, as models have seen it. */
function spacedJson(value: unknown): string {
  // A newline of the layout is none of a text, where it is escaped.
  return JSON.stringify(value, null, 1)
    .replace(/,\n\s*/g, ', ')
    .replace(/\n\s*/g, '');
}

function withToolPrompt(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): ChatMessage[] {
  const lines = tools.map((spec) => spacedJson(toolOf(spec)));
  const prompt = `These tools can be called:
<tools>
${lines.join('\n')}
</tools>
To call one, write its name and its arguments as JSON between tags, and nothing after that:
<tool_call>
{"name": "name of the tool", "arguments": {"name of the argument": "value"}}
</tool_call>`;
  const [first, ...others] = messages;
  if (first?.role !== 'system') return [{ role: 'system', content: prompt }, ...messages];
  return [{ ...first, content: `${first.content}\n\n${prompt}` }, ...others];
}

/** Messages in which the answers of tools to one turn are one message of the user. */
function withoutToolTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  messages.forEach((message, i) => {
    if (message.role !== 'tool') {
      turns.push(message);
      return;
    }
    const content = `<tool_response>\n${message.content}\n</tool_response>`;
    if (messages[i - 1]?.role === 'tool') turns.at(-1)!.content += `\n${content}`;
    else turns.push({ role: 'user', content });
  });
  return turns;
}
