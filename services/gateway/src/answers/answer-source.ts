import type { ChatMessage, ToolSpec } from '@forge/contracts';
import type { Answer } from './answer';
import type { Asked } from './asked';
import type { AnswerListener } from './draw-answers';

/** Somebody who calls: the owner of a run, or the agent of a session. */
export interface Caller {
  /** Whether it has the token, which opens every session. */
  isOwner: boolean;
  /** The session of its key, or the one that the owner names; null: the owner names none. */
  sessionId: string | null;
}

/** A request of a client, as it came. */
export interface ClientRequest {
  /** Path of the API, `/v1/chat/completions` say. */
  path: string;
  /** Null: a gateway without sessions. */
  caller: Caller | null;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: unknown;
}

export interface AnswerCall {
  request: ClientRequest;
  asked: Asked;
  /** Fires when the client has left, or the server ends. */
  signal: AbortSignal;
  /** Told of the answers while they come to be, where they are streamed. */
  listener: AnswerListener | null;
  /** Names the calls of tools. */
  callId: string;
}

/** Origin of the answers of a gateway. */
export interface AnswerSource {
  /**
   * Name of the model that answers has who asks for one of this name.
   *
   * @throws {ApiProblem} not-found where there is none.
   */
  modelNamed(name: string): string;
  /**
   * The answers that are asked for: those to the first prompt, then those to the next.
   *
   * @throws {ForgeError} CANCELLED when the signal fires; {ApiProblem}.
   */
  answers(call: AnswerCall): Promise<Answer[]>;
  /** Tokens of a prompt of messages. */
  countTokens(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): Promise<number>;
}
