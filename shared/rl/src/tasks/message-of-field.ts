import type { ChatMessage, ToolCall } from '@forge/contracts';
import { invalidLine, isObject, type Line } from './json-line';

const ROLES = ['system', 'user', 'assistant', 'tool'] as const;
/** Parts of a message; the last ones of the assistant's only. */
const OF_ANSWERS = ['reasoning_content', 'tool_calls'];
const PARTS = ['role', 'content', 'tool_call_id', 'name', ...OF_ANSWERS];

/**
 * The message that a field holds, by the names of transformers and of OpenAI's API: `role`, `content`, and where there are
 * any `reasoning_content`, `tool_calls`, `tool_call_id`, `name`.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming the line, the field and what is wrong with it.
 */
export function messageOf(line: Line, field: string, value: unknown): ChatMessage {
  if (!isObject(value)) throw invalidLine(line, field, JSON.stringify(value), 'a message { role, content }');
  const given = Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null));
  const { role, content, reasoning_content: reasoning, tool_calls: calls, tool_call_id: id, name } = given;
  const known = ROLES.find((name) => name === role);
  if (known === undefined)
    throw invalidLine(line, `${field}.role`, JSON.stringify(role) ?? 'none', `one of ${ROLES.join(', ')}`);
  const more = Object.keys(given).find((key) => !PARTS.includes(key));
  if (more !== undefined)
    throw invalidLine(line, `${field}.${more}`, JSON.stringify(given[more]), `${PARTS.join(', ')} only`);
  const others = role === 'assistant' ? undefined : OF_ANSWERS.find((part) => given[part] !== undefined);
  if (others !== undefined)
    throw invalidLine(
      line,
      `${field}.${others}`,
      JSON.stringify(given[others]),
      'it in messages of the assistant only',
    );
  // An answer that only calls has no content in OpenAI's API.
  const isCall = calls !== undefined && content === undefined;
  const message: ChatMessage = {
    role: known,
    content: isCall ? '' : textOf(line, `${field}.content`, content),
  };
  const toolCalls = calls === undefined ? [] : callsOf(line, `${field}.tool_calls`, calls);
  if (toolCalls.length > 0) message.toolCalls = toolCalls;
  if (reasoning !== undefined) message.reasoning = textOf(line, `${field}.reasoning_content`, reasoning);
  if (id !== undefined) message.toolCallId = textOf(line, `${field}.tool_call_id`, id);
  if (name !== undefined) message.name = textOf(line, `${field}.name`, name);
  return message;
}

function callsOf(line: Line, field: string, value: unknown): ToolCall[] {
  if (!Array.isArray(value)) throw invalidLine(line, field, JSON.stringify(value), 'a list of calls');
  return value.map((call: unknown, i) => callOf(line, `${field}.${i}`, i, call));
}

/** A call as `{ id, function: { name, arguments } }`, or without the wrapping; arguments may be JSON in a text. */
function callOf(line: Line, field: string, i: number, value: unknown): ToolCall {
  const whole = isObject(value) ? value : {};
  const { name, arguments: given } = isObject(whole['function']) ? whole['function'] : whole;
  const args = typeof given === 'string' ? parsed(given) : given;
  if (typeof name !== 'string' || name === '' || !isObject(args) || Array.isArray(args)) {
    const expected = 'a call { id, function: { name, arguments } } with an object of arguments';
    throw invalidLine(line, field, JSON.stringify(value), expected);
  }
  const id = typeof whole['id'] === 'string' && whole['id'] !== '' ? whole['id'] : `call-${i}`;
  return { id, name, arguments: args };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A text, or the texts of a list of parts `{ type: text, text }`. */
function textOf(line: Line, field: string, content: unknown): string {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? (content as unknown[]) : null;
  const texts = parts?.map((part) => (isObject(part) && part['type'] === 'text' ? part['text'] : null));
  if (texts?.every((text) => typeof text === 'string') === true) return texts.join('');
  throw invalidLine(line, field, JSON.stringify(content) ?? 'none', 'a text');
}
