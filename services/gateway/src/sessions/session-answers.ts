import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenSession, SessionDirectory } from '@forge/broker';
import type { ChatMessage, SessionAnswer, SessionCall, ToolSpec } from '@forge/contracts';
import { ForgeError, type ErrorCode } from '@forge/errors';
import type { Answer } from '../answers/answer';
import type { AnswerCall, AnswerSource, Caller, ClientRequest } from '../answers/answer-source';
import { stopStringOf, withoutStop } from '../answers/draw-answers';
import type { GatewayPolicy } from '../answers/gateway-policy';
import { ApiProblem } from '../dialects/api-problem';
import { idempotencyKey } from '../handlers/request-key';
import { goneSession, sessionOf, sessionOver } from './callers';
import type { SessionReplicas } from './session-replicas';

export interface SessionAnswersOptions {
  directory: Pick<SessionDirectory, 'byId'>;
  replicas: Pick<SessionReplicas, 'isThere' | 'answer'>;
  /** Any replica of the policy: all read texts alike. */
  policy: Pick<GatewayPolicy, 'renderChat' | 'tokenTexts'>;
  /** Time that a call waits for a policy replica that has its session. */
  patienceMs: number;
}

/** Pause before a session is looked for again. */
const AGAIN_MS = 200;
/** Pause between two looks of a call under way whether its session has moved to another replica. */
const LOOK_MS = 1_000;
/** Codes that say: the session is, or will be, at another replica, or at another process of that name. */
const MOVED: ReadonlySet<ErrorCode> = new Set([
  'TRANSIENT_REPLICA_LOST',
  'TRANSIENT_SERVICE_UNAVAILABLE',
  'TRANSIENT_SESSION_LOST',
  'TRANSIENT_TIMEOUT',
] as const);

/** Answers the calls of agents, each of which belongs to a session: a rollout that a policy replica makes. */
export class SessionAnswers implements AnswerSource {
  constructor(private readonly options: SessionAnswersOptions) {}

  /** Agents have a model in mind; the one that answers is the one that is trained. */
  modelNamed(name: string): string {
    return name;
  }

  async answers({ request, asked, signal, listener }: AnswerCall): Promise<Answer[]> {
    const [messages, ...others] = asked.prompts;
    if (asked.n > 1 || others.length > 0)
      throw new ApiProblem('invalid', 'n: expected 1: a call of a session has one answer', { param: 'n' });
    if (!Array.isArray(messages))
      throw new ApiProblem('invalid', 'a session is made of messages: call /v1/chat/completions', {
        param: 'prompt',
      });
    const { stop = [], maxTokens } = asked.sampling;
    const call: SessionCall = {
      sessionId: sessionOf(request.caller!),
      ...identityOf(request),
      messages: [...messages],
      tools: [...asked.tools],
      ...(stop.length > 0 && { stop: [...stop] }),
      ...(maxTokens !== undefined && { maxTokens }),
    };
    const answer = await this.shown(
      await this.answered(call, request.caller!, signal),
      stop,
      asked.withLogprobs,
    );
    if (listener !== null) tellWhole(answer, listener);
    return [answer];
  }

  async countTokens(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): Promise<number> {
    return (await this.options.policy.renderChat({ messages: [...messages], tools: [...tools] })).length;
  }

  /** The answer of the replica that has the session, wherever that is by then. */
  private async answered(call: SessionCall, caller: Caller, signal: AbortSignal): Promise<SessionAnswer> {
    const { directory, replicas, patienceMs } = this.options;
    let { isRetry } = call;
    let seenAt = performance.now();
    for (;;) {
      const session = await directory.byId(call.sessionId);
      if (session === null || session.state === 'waiting') throw goneSession(caller, call.sessionId);
      if (session.state === 'ended') throw sessionOver(call.sessionId);
      const isThere = session.replica !== '' && (await replicas.isThere(session.replica));
      if (isThere) {
        try {
          return await this.unlessMoved(
            session,
            replicas.answer(session.replica, { ...call, isRetry }),
            signal,
          );
        } catch (error) {
          if (!MOVED.has(ForgeError.from(error).code)) throw error;
          // The call may have had its effect.
          isRetry = true;
          if (!ForgeError.from(error).is('TRANSIENT_SESSION_LOST')) seenAt = performance.now();
        }
      }
      if (performance.now() - seenAt > patienceMs)
        throw new ForgeError(
          'TRANSIENT_SERVICE_UNAVAILABLE',
          `no policy has taken up session ${call.sessionId} yet; send the call again`,
        );
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => cancelled());
    }
  }

  /** The answer that is under way, unless the session is at another replica meanwhile or nobody waits for it any more. */
  private async unlessMoved(
    { sessionId, replica }: OpenSession,
    answer: Promise<SessionAnswer>,
    signal: AbortSignal,
  ): Promise<SessionAnswer> {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const moved = async (): Promise<never> => {
      for (;;) {
        await sleep(LOOK_MS, undefined, { signal: either }).catch(() => cancelled());
        const now = await this.options.directory.byId(sessionId);
        if (now !== null && now.replica !== replica)
          throw new ForgeError('TRANSIENT_SESSION_LOST', `session ${sessionId} is at another policy`);
      }
    };
    try {
      return await Promise.race([answer, moved()]);
    } finally {
      done.abort();
      answer.catch(() => undefined);
    }
  }

  private async shown(
    { message, completion }: SessionAnswer,
    stop: readonly string[],
    withLogprobs: boolean,
  ): Promise<Answer> {
    const { tokenIds, text } = completion;
    const ends = completion.stopReason === 'stop' ? stop : [];
    const tokenTexts =
      withLogprobs || ends.length > 1
        ? await this.options.policy.tokenTexts(tokenIds, [...tokenIds.keys()])
        : null;
    return {
      completion,
      message: withoutStop(message, ends),
      tokenTexts: withLogprobs ? tokenTexts : null,
      stopString: stopStringOf(text, ends, tokenTexts),
    };
  }
}

/** Marks by which a call is known again: its contents, or the key that a client gives it for that. */
function identityOf(request: ClientRequest): Pick<SessionCall, 'digest' | 'isRetry'> {
  const { path, headers, body } = request;
  const key = idempotencyKey(request);
  const retries = Number(headers['x-stainless-retry-count'] ?? 0);
  return {
    digest: createHash('sha256')
      .update(JSON.stringify([path, key, body]))
      .digest('hex'),
    isRetry: retries > 0 || key !== null,
  };
}

function tellWhole(
  { message, completion, tokenTexts }: Answer,
  listener: NonNullable<AnswerCall['listener']>,
): void {
  const { content, reasoning = '' } = message;
  const { promptTokenIds, tokenIds, logprobs } = completion;
  listener.begin(promptTokenIds);
  listener.grow({ index: 0, content, reasoning, tokenIds, logprobs, tokenTexts });
}

function cancelled(): never {
  throw new ForgeError('CANCELLED', 'nobody waits for the answer any more');
}
