import type { RenderRequest } from '@forge/rl';
import type { Tokenizer } from '../hugging-face/tokenizer';

/**
 * Token ids of messages, up to where the assistant begins to speak.
 *
 * @throws {ForgeError} as `ChatTemplate.render`.
 */
export function renderChat(tokenizer: Tokenizer, { messages, tools = [] }: RenderRequest): number[] {
  const text = tokenizer.chatTemplate.render(messages, tools);
  return tokenizer.encodePrompt(text, { addSpecialTokens: false });
}
