import type { GrowingAnswer, GrowingText, SettledAnswer } from '@forge/rl';
import { StopStrings } from '../generation/stop-strings';
import type { Tokenizer } from '../hugging-face/tokenizer';
import { OPEN as CALL, TAG } from './find-calls';
import { answerText, CLOSE, OPEN } from './parse-answer';

/** The text that a completion is sure to begin with, whatever tokens follow the ones so far. */
export function settledText(
  { decode, specialTokens }: Pick<Tokenizer, 'decode' | 'specialTokens'>,
  { tokenIds, stop = [] }: GrowingText,
): string {
  return new StopStrings(stop, { decodeText: decode, specialTokens }).settled(tokenIds);
}

/**
 * The parts that `parseAnswer` is sure to find in an answer, whatever tokens follow the ones so far: nothing that may be a
 * call of a tool, a tag or a stop string, and no part of a character.
 */
export function settledAnswer(
  tokenizer: Tokenizer,
  { tokenIds, tools = [], stop = [] }: GrowingAnswer,
): SettledAnswer {
  const { traits, opensThinking } = tokenizer.chatTemplate;
  const rules = {
    decodeText: (ids: readonly number[]) => answerText(tokenizer, ids, true),
    specialTokens: tokenizer.specialTokens,
  };
  const text = new StopStrings(stop, rules).settled(tokenIds);
  const content = (said: string): string => withoutCalls(said, traits.callForm, tools.length > 0);
  if (traits.thinking === null) return { reasoning: '', content: content(text) };
  const start = text.trimStart();
  if (start.startsWith(OPEN)) return thoughtAndSaid(start.slice(OPEN.length), content);
  if (OPEN.startsWith(start)) return { reasoning: '', content: '' };
  return opensThinking ? thoughtAndSaid(text, content) : { reasoning: '', content: content(text) };
}

/** Thinking up to its closing tag, and what is said behind it. */
function thoughtAndSaid(inside: string, content: (said: string) => string): SettledAnswer {
  const end = inside.indexOf(CLOSE);
  if (end < 0) return { reasoning: before(CLOSE, inside).trim(), content: '' };
  const said = inside.slice(end + CLOSE.length).replace(/^\n+/, '');
  return { reasoning: inside.slice(0, end).trim(), content: content(said) };
}

/** The text before all that may be a call, and before white space that a call would take along. */
function withoutCalls(said: string, form: string | null, hasTools: boolean): string {
  if (form === null) return said;
  if (form === 'bare-json' && hasTools && said.trimStart().startsWith('{')) return '';
  return before(form === 'bare-json' ? TAG : CALL, said).trimEnd();
}

/** The text before `mark`, or before what may be its begin at the end. */
function before(mark: string, text: string): string {
  const whole = text.indexOf(mark);
  if (whole >= 0) return text.slice(0, whole);
  let length = Math.min(mark.length - 1, text.length);
  while (!text.endsWith(mark.slice(0, length))) length -= 1;
  return text.slice(0, text.length - length);
}
