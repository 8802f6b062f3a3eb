import { usageOf, type Answer, type Growth } from '../answers/answer';

/** Log-probs of tokens as the chat APIs have them; null where none are asked for. */
export function chatLogprobs(
  tokenTexts: readonly string[] | null,
  logprobs: readonly number[],
): { content: object[]; refusal: null } | null {
  if (tokenTexts === null) return null;
  return { content: tokenLogprobs(tokenTexts, logprobs), refusal: null };
}

/** Shapes: both [T] -> [T]. */
export function tokenLogprobs(tokenTexts: readonly string[], logprobs: readonly number[]): object[] {
  return tokenTexts.map((token, t) => ({
    token,
    logprob: logprobs[t]!,
    bytes: [...Buffer.from(token)],
    top_logprobs: [],
  }));
}

/** Whether a growth has anything that a client of text sees, or tokens that it asks for. */
export function isEmpty({ content, reasoning, tokenTexts }: Growth, withTokenIds: boolean): boolean {
  return content === '' && reasoning === '' && tokenTexts === null && !withTokenIds;
}

/** The reason why an answer ended, as OpenAI's APIs name it. */
export function finishReason({ completion, message }: Answer): 'stop' | 'length' | 'tool_calls' {
  if ((message.toolCalls ?? []).length > 0) return 'tool_calls';
  return completion.stopReason === 'length' ? 'length' : 'stop';
}

export function openAiUsage(answers: readonly Answer[], n: number): object {
  const { promptTokens, completionTokens } = usageOf(answers, n);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
