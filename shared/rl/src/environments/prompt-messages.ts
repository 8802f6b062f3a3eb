import type { ChatMessage, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/**
 * The prompt of a sample as the messages of a conversation: a text is one of the user.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID for token ids, which are no messages.
 */
export function promptMessages({ id, prompt }: Sample): ChatMessage[] {
  if (typeof prompt === 'string') return [{ role: 'user', content: prompt }];
  if (Array.isArray(prompt)) return [...prompt];
  const message = `sample '${id}': found a prompt of token ids, expected a text or messages`;
  throw new ForgeError('CONFIG_DATASET_INVALID', message, { sampleId: id });
}
