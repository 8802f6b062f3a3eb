import type { ChatMessage } from '@forge/contracts';
import type { AnswerToParse } from '@forge/rl';
import type { Tokenizer } from '../hugging-face/tokenizer';
import { findCalls, withIds } from './find-calls';

export interface ParsedAnswer {
  message: ChatMessage;
  /** Whether it begins a call of a tool that can't be read. */
  isMalformed: boolean;
}

/** Special tokens that are part of an answer, in the vocabularies that have them as such. */
const MARKS = new Set([
  '<think>',
  '</think>',
  '<tool_call>',
  '</tool_call>',
  '<|python_tag|>',
  '<function>',
  '</function>',
]);

/**
 * The message that sampled tokens are, in the form of the model's chat template: thinking and calls apart from the content. A
 * call that can't be read stays in the content.
 */
export function parseAnswer(
  tokenizer: Tokenizer,
  { tokenIds, tools = [], callIds = 'call' }: AnswerToParse,
): ParsedAnswer {
  const { traits } = tokenizer.chatTemplate;
  const { reasoning, said } = withoutThinking(tokenizer, answerText(tokenizer, tokenIds));
  const found = findCalls(said, traits.callForm, tools);
  const message: ChatMessage = { role: 'assistant', content: said };
  if (reasoning !== null) message.reasoning = reasoning;
  if (found === null || found === 'malformed') return { message, isMalformed: found !== null };
  return {
    message: { ...message, content: found.content, toolCalls: withIds(found.calls, callIds) },
    isMalformed: false,
  };
}

/** Text of an answer, without special tokens that are no part of it; with `isGrowing` as in `Tokenizer`. */
export function answerText(
  { decode, specialTokens }: Tokenizer,
  tokenIds: readonly number[],
  isGrowing = false,
): string {
  const isPart = (id: number): boolean => {
    const special = specialTokens.get(id);
    return special === undefined || MARKS.has(special);
  };
  return decode(tokenIds.filter(isPart), { skipSpecialTokens: false, isGrowing });
}

/** Tags around the thinking that an answer opens with. */
export const OPEN = '<think>';
export const CLOSE = '</think>';

function withoutThinking(
  { chatTemplate }: Tokenizer,
  text: string,
): { reasoning: string | null; said: string } {
  const isOpen = text.trimStart().startsWith(OPEN);
  if (chatTemplate.traits.thinking === null || !(isOpen || chatTemplate.opensThinking))
    return { reasoning: null, said: text };
  const inside = isOpen ? text.slice(text.indexOf(OPEN) + OPEN.length) : text;
  const end = inside.indexOf(CLOSE);
  if (end < 0) return { reasoning: inside.trim(), said: '' };
  return {
    reasoning: inside.slice(0, end).trim(),
    said: inside.slice(end + CLOSE.length).replace(/^\n+/, ''),
  };
}
