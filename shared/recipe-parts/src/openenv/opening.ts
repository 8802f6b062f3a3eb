import type { ChatMessage, Sample } from '@forge/contracts';
import { promptMessages, promptText } from '@forge/rl';

/** First messages of an episode: the prompt of the sample, and behind it what the environment says. */
export function openingMessages(sample: Sample, said: string): ChatMessage[] {
  const messages = promptMessages(sample);
  if (said === '') return messages;
  const last = messages.at(-1);
  // Many templates refuse two messages of the user in a row.
  if (last?.role === 'user')
    return [...messages.slice(0, -1), { ...last, content: `${last.content}\n\n${said}` }];
  return [...messages, { role: 'user', content: said }];
}

/** Options of a reset, with {id}, {prompt} and {answer} of the sample in their texts. */
export function filledIn(options: Record<string, unknown>, sample: Sample): Record<string, unknown> {
  const values: Record<string, string> = {
    id: sample.id,
    prompt: promptText(sample.prompt),
    answer: sample.answer ?? '',
  };
  const fill = (value: unknown): unknown =>
    typeof value === 'string'
      ? value.replaceAll(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder)
      : value;
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, fill(value)]));
}
