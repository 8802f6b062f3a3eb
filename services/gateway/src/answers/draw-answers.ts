import { randomUUID } from 'node:crypto';
import type { ChatMessage, Completion, Prompt } from '@forge/contracts';
import type { Answer, Growth } from './answer';
import type { Asked } from './asked';
import type { DrawRequest, GatewayPolicy } from './gateway-policy';
import { GrowingAnswer } from './growing-answer';

/** Somebody who is told of answers while they are generated. */
export interface AnswerListener {
  /** Once, before the first growth. `promptTokenIds` of a prompt of messages. */
  begin(promptTokenIds: readonly number[] | null): void;
  grow(growth: Growth): void;
}

interface Drawing {
  policy: GatewayPolicy;
  asked: Asked;
  signal: AbortSignal;
  listener: AnswerListener | null;
  /** Names the calls of tools. */
  callId: string;
}

/**
 * The answers that are asked for: those to the first prompt, then those to the next.
 *
 * @throws {ForgeError} CANCELLED when the signal fires; what the policy throws.
 */
export async function drawAnswers(drawing: Drawing): Promise<Answer[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([drawing.signal, failed.signal]);
  const listener = drawing.listener && beginningOnce(drawing.listener);
  try {
    const { prompts } = drawing.asked;
    const drawn = prompts.map((prompt, p) => answersTo({ ...drawing, signal, listener }, prompt, p));
    return (await Promise.all(drawn)).flat();
  } catch (error) {
    // The others are no use any more.
    failed.abort();
    throw error;
  }
}

function beginningOnce(listener: AnswerListener): AnswerListener {
  let hasBegun = false;
  return {
    begin: (promptTokenIds) => {
      if (!hasBegun) listener.begin(promptTokenIds);
      hasBegun = true;
    },
    grow: (growth) => listener.grow(growth),
  };
}

async function answersTo(drawing: Drawing, prompt: Prompt, p: number): Promise<Answer[]> {
  const { policy, asked, signal, listener } = drawing;
  const { tools, n, sampling, seed } = asked;
  const isChat = Array.isArray(prompt);
  const tokenIds = isChat ? await policy.renderChat({ messages: prompt, tools: [...tools] }) : null;
  const rolloutIds = Array.from({ length: n }, (_, k) =>
    seed === null ? randomUUID() : `${seed}-${p}-${k}`,
  );
  const request: DrawRequest = {
    prompt: tokenIds === null ? prompt : { tokenIds },
    sampling,
    rolloutIds,
  };
  const answerOf = (completion: Completion, k: number): Promise<Answer> =>
    finished(drawing, completion, isChat, p * n + k);
  if (listener === null) return Promise.all((await policy.draw(request, signal, null)).map(answerOf));

  const growing = rolloutIds.map((_, k) => new GrowingAnswer(policy, asked, p * n + k, isChat));
  const tell = (growth: Growth | null): void => {
    listener.begin(tokenIds);
    if (growth !== null) listener.grow(growth);
  };
  const completions = await policy.draw(request, signal, async ({ rolloutId, ...growth }) => {
    tell(await growing[rolloutIds.indexOf(rolloutId)]!.grow(growth));
  });
  const answers = await Promise.all(completions.map(answerOf));
  for (const [k, answer] of answers.entries()) tell(growing[k]!.end(answer));
  return answers;
}

async function finished(
  { policy, asked, callId }: Drawing,
  completion: Completion,
  isChat: boolean,
  index: number,
): Promise<Answer> {
  const { tokenIds, text } = completion;
  const stop = completion.stopReason === 'stop' ? (asked.sampling.stop ?? []) : [];
  const [tokenTexts, message] = await Promise.all([
    asked.withLogprobs || stop.length > 1 ? policy.tokenTexts(tokenIds, [...tokenIds.keys()]) : null,
    isChat ? messageOf(policy, asked, completion, `call_${callId}${index === 0 ? '' : `-${index}`}`) : null,
  ]);
  return {
    completion,
    message: message ?? { role: 'assistant', content: text },
    tokenTexts: asked.withLogprobs ? tokenTexts : null,
    stopString: stopStringOf(text, stop, tokenTexts),
  };
}

/** The answer as a message. */
async function messageOf(
  policy: GatewayPolicy,
  { tools, sampling: { stop = [] } }: Asked,
  { tokenIds, stopReason }: Completion,
  callIds: string,
): Promise<ChatMessage> {
  const message = await policy.parseAnswer({ tokenIds: [...tokenIds], tools: [...tools], callIds });
  return stopReason === 'stop' ? withoutStop(message, stop) : message;
}

/** The message up to a stop string, what stands from there on is no part of it. */
export function withoutStop(message: ChatMessage, stop: readonly string[]): ChatMessage {
  const cut = (text: string): string =>
    stop.reduce((shortest, string) => {
      const at = shortest.indexOf(string);
      return at < 0 ? shortest : shortest.slice(0, at);
    }, text);
  const { content, reasoning } = message;
  return { ...message, content: cut(content), ...(reasoning !== undefined && { reasoning: cut(reasoning) }) };
}

/** The one of `stop` that a completion with this text ended before. */
export function stopStringOf(
  text: string,
  stop: readonly string[],
  tokenTexts: readonly string[] | null,
): string | null {
  if (stop.length < 2 || tokenTexts === null) return stop[0] ?? null;
  const whole = tokenTexts.join('');
  const next = stop.find((string) => whole.startsWith(text + string));
  return next ?? stop.find((string) => whole.includes(string)) ?? null;
}
