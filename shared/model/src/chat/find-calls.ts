import type { ToolCall, ToolSpec } from '@forge/contracts';
import type { CallForm } from '../hugging-face/template/template-traits';
import { bareJson, taggedJson, type Call } from './json-calls';
import { taggedXml } from './xml-calls';

/** An answer's calls, and the text around them. */
export interface FoundCalls {
  content: string;
  calls: Call[];
}

/**
 * The calls of tools in an answer; null when there are none. Text that begins a call and does not end as one makes the whole
 * answer malformed.
 */
export function findCalls(
  text: string,
  form: CallForm | null,
  tools: readonly ToolSpec[],
): FoundCalls | 'malformed' | null {
  switch (form) {
    case 'tagged-json':
      return taggedCalls(text, taggedJson);
    case 'tagged-xml':
      return taggedCalls(text, (body) => taggedXml(body, tools));
    case 'bare-json':
      return bareCalls(text, tools.length > 0);
    case null:
      return null;
  }
}

/** Begin of a call between tags. */
export const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

/** Calls between tags; the last closing tag may be missing, as an answer may stop there. */
function taggedCalls(text: string, read: (body: string) => Call[] | null): FoundCalls | 'malformed' | null {
  const [before, ...bodies] = text.split(OPEN);
  if (bodies.length === 0) return null;
  const around = [before!];
  const calls: Call[] = [];
  for (const [i, body] of bodies.entries()) {
    const [inside, ...behind] = body.split(CLOSE);
    const isClosed = behind.length === 1 || (behind.length === 0 && i === bodies.length - 1);
    const found = isClosed ? read(inside!) : null;
    if (found === null) return 'malformed';
    calls.push(...found);
    around.push(...behind);
  }
  return {
    content: around
      .map((part) => part.trim())
      .filter(Boolean)
      .join('\n'),
    calls,
  };
}

/** The mark of a call that an answer is as a whole. */
export const TAG = '<|python_tag|>';
/** Begin of an answer that can't be anything but a call. */
const CALL_BEGINS = /^\{\s*"name"\s*:/;

/** The one call that an answer is as a whole. Without a tag it is a call only where there are tools. */
function bareCalls(text: string, hasTools: boolean): FoundCalls | 'malformed' | null {
  const [before, ...tagged] = text.split(TAG);
  if (tagged.length > 1) return 'malformed';
  const [body] = tagged;
  if (body === undefined && !hasTools) return null;
  const call = bareJson(body ?? text);
  if (call !== null) return { content: body === undefined ? '' : before!.trim(), calls: [call] };
  return body !== undefined || CALL_BEGINS.test(text.trim()) ? 'malformed' : null;
}

/** The calls with an id for each. */
export function withIds(calls: readonly Call[], prefix: string): ToolCall[] {
  return calls.map((call, k) => ({ id: `${prefix}-${k}`, ...call }));
}
