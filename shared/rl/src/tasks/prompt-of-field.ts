import type { ChatMessage, Sample } from '@forge/contracts';
import { invalidLine, type Line } from './json-line';
import { messageOf } from './message-of-field';

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
