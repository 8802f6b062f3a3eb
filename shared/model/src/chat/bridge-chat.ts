import type { ChatMessage, ForkReason, ToolSpec } from '@forge/contracts';
import type { Bridge, BridgeRequest } from '@forge/rl';
import type { Tokenizer } from '../hugging-face/tokenizer';

/** Text that a template writes behind an answer: the token that ends it, and all that comes then. */
interface Tail {
  end: { id: number; text: string };
  text: string;
}

type Proof = { tail: Tail; standIn: string } | { fork: ForkReason };

/**
 * The tokens that stand with the added messages behind them. What was sampled stays as it was sampled: proved is that the
 * template writes what stood before the answer as it did when the answer was asked for, and that what it writes behind the
 * answer does not depend on the answer. An answer that was cut off gets the end it lacks.
 *
 * @throws {ForgeError} as `ChatTemplate.render`.
 */
export function bridgeChat(
  tokenizer: Tokenizer,
  { tokenIds, before, added, tools = [], keepThinking = false }: BridgeRequest,
): Bridge {
  const proof = proveTail(tokenizer, { before, added, tools, isThoughtless: false });
  if (!('fork' in proof)) return joined(tokenizer, tokenIds, proof);
  const thoughtless = before.map(({ reasoning: _, ...message }) => message);
  const other = proveTail(tokenizer, { before: thoughtless, added, tools, isThoughtless: true });
  if ('fork' in other) return proof;
  return keepThinking ? joined(tokenizer, tokenIds, other) : { fork: 'template-drops-thinking' };
}

interface Rendering {
  before: readonly ChatMessage[];
  added: readonly ChatMessage[];
  tools: readonly ToolSpec[];
  /** Whether the template is looked at as if nobody had thought: what it opens or closes thinking with may go as well. */
  isThoughtless: boolean;
}

function proveTail(tokenizer: Tokenizer, { before, added, tools, isThoughtless }: Rendering): Proof {
  const { render } = tokenizer.chatTemplate;
  const [asked, answer] = [before.slice(0, -1), before.at(-1)!];
  const rendered = (message: ChatMessage): string => render([...asked, message, ...added], tools);
  const prompt = render(asked, tools);
  const stem = isThoughtless ? prompt.replace(/<think>\s*(<\/think>\s*)?$/, '') : prompt;
  const whole = rendered(answer);
  const standIns = ['x', 'y z'].map((text) => rendered(standInFor(answer, text)));
  if (![whole, ...standIns].every((text) => text.startsWith(stem)))
    return { fork: 'template-rewrites-history' };
  const [one, other] = standIns.map((text) => splitAtEnd(tokenizer, text.slice(stem.length)));
  if (!one || !other) return { fork: 'no-turn-end' };
  const { end, text } = one.tail;
  const isSame = other.tail.end.id === end.id && other.tail.text === text;
  if (!isSame || !whole.slice(stem.length).endsWith(end.text + text))
    return { fork: 'template-depends-on-answer' };
  if (answer.reasoning !== undefined && !one.answer.includes('</think>'))
    return { fork: 'template-drops-thinking' };
  return { tail: one.tail, standIn: one.answer };
}

/** An answer of the same shape, whose text is another one. */
function standInFor({ reasoning, toolCalls, ...message }: ChatMessage, text: string): ChatMessage {
  return {
    ...message,
    content: text,
    ...(reasoning !== undefined && { reasoning: reasoning && text }),
    ...(toolCalls && { toolCalls: toolCalls.map((call) => ({ ...call, arguments: { [text]: text } })) }),
  };
}

/** The text before the first token that ends a turn, and the one from there on; null when no turn ends. */
function splitAtEnd(tokenizer: Tokenizer, text: string): { answer: string; tail: Tail } | null {
  const ends = tokenizer.endTokenIds.flatMap((id) => {
    const token = tokenizer.decode([id], { skipSpecialTokens: false });
    const at = token === '' ? -1 : text.indexOf(token);
    return at < 0 ? [] : [{ id, text: token, at }];
  });
  const [first] = ends.sort((a, b) => a.at - b.at);
  if (first === undefined) return null;
  const { id, text: end, at } = first;
  return { answer: text.slice(0, at), tail: { end: { id, text: end }, text: text.slice(at + end.length) } };
}

function joined(
  tokenizer: Tokenizer,
  tokenIds: readonly number[],
  { tail: { end, text }, standIn }: Exclude<Proof, { fork: ForkReason }>,
): Bridge {
  const encode = (what: string): number[] => tokenizer.encodePrompt(what, { addSpecialTokens: false });
  const [first, ...delta] = encode(end.text + text);
  const behind = encode(standIn + end.text + text).slice(-delta.length - 1);
  const isWhole = first === end.id && behind[0] === end.id && delta.every((id, i) => behind[i + 1] === id);
  if (!isWhole) return { fork: 'tokens-merge' };
  const last = tokenIds.at(-1)!;
  if (last === end.id) return { tokenIds: [...tokenIds, ...delta] };
  if (tokenizer.endTokenIds.includes(last)) return { fork: 'other-turn-end' };
  return { tokenIds: [...tokenIds, end.id, ...delta] };
}
