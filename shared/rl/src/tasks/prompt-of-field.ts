import type { ChatMessage, Sample } from '@forge/contracts';
import { invalidLine, isObject, type Line } from './json-line';

const ROLES = ['system', 'user', 'assistant', 'tool'] as const;
const EXPECTED = 'a non-empty text or a list of messages { role, content }';

/**
 * The prompt that a field holds: a text, or messages as they are. A system prompt makes a text a chat, and opens messages
 * that have no system message.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming the line, the message and what is wrong with it.
 */
export function promptOfField(
  line: Line,
  field: string,
  value: unknown,
  systemPrompt: string | undefined,
): Sample['prompt'] {
  if (typeof value === 'string' && value.trim() !== '')
    return systemPrompt === undefined ? value : withSystem([{ role: 'user', content: value }], systemPrompt);
  if (!Array.isArray(value) || value.length === 0)
    throw invalidLine(line, field, JSON.stringify(value), EXPECTED);
  const messages = value.map((message: unknown, i) => messageOf(line, `${field}.${i}`, message));
  if (messages.at(-1)!.role === 'assistant') {
    const way = `a last message of the user; name the messages that ask by task.promptField, as ${field}.0.content`;
    throw invalidLine(line, field, "a last message of the assistant, which is the model's to write", way);
  }
  return systemPrompt === undefined ? messages : withSystem(messages, systemPrompt);
}

/** The part that prompts which ask the same share: the one message of the user, or all but the system's. */
export function questionOf(prompt: Sample['prompt']): string {
  if (typeof prompt === 'string') return prompt;
  if ('tokenIds' in prompt) return JSON.stringify(prompt.tokenIds);
  const asked = prompt.filter(({ role }) => role !== 'system');
  const [only] = asked;
  return asked.length === 1 && only!.role === 'user' ? only!.content : JSON.stringify(asked);
}

function withSystem(messages: ChatMessage[], content: string): ChatMessage[] {
  return messages.some(({ role }) => role === 'system')
    ? messages
    : [{ role: 'system', content }, ...messages];
}

function messageOf(line: Line, field: string, value: unknown): ChatMessage {
  if (!isObject(value)) throw invalidLine(line, field, JSON.stringify(value), 'a message { role, content }');
  const { role, content, ...rest } = value;
  const known = ROLES.find((name) => name === role);
  if (known === undefined)
    throw invalidLine(line, `${field}.role`, JSON.stringify(role) ?? 'none', `one of ${ROLES.join(', ')}`);
  const more = Object.keys(rest).find((key) => rest[key] !== null);
  if (more !== undefined)
    throw invalidLine(line, `${field}.${more}`, JSON.stringify(rest[more]), 'role and content only');
  return { role: known, content: textOf(line, `${field}.content`, content) };
}

/** A text, or the texts of a list of parts `{ type: text, text }`. */
function textOf(line: Line, field: string, content: unknown): string {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? (content as unknown[]) : null;
  const texts = parts?.map((part) => (isObject(part) && part['type'] === 'text' ? part['text'] : null));
  if (texts?.every((text) => typeof text === 'string') === true) return texts.join('');
  throw invalidLine(line, field, JSON.stringify(content) ?? 'none', 'a text');
}
