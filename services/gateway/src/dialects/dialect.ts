import type { Answer, Growth } from '../answers/answer';
import type { Asked } from '../answers/asked';
import type { ApiProblem } from './api-problem';

/** An event of a stream of server-sent events. */
export interface StreamEvent {
  event?: string;
  /** Text is sent as it is, all else as JSON. */
  data: unknown;
}

/** Facts of a call that its answer repeats. */
export interface CallFacts {
  /** Names the call; its answer has it behind a prefix of the API. */
  id: string;
  /** Seconds since the epoch. */
  createdAt: number;
  /** Name of the model as it is served. */
  model: string;
}

/** The events of an answer that is streamed, in their order. */
export interface AnswerStream {
  /** `promptTokenIds` of a prompt of messages; null: they are told at the end. */
  begin(promptTokenIds: readonly number[] | null): StreamEvent[];
  grow(growth: Growth): StreamEvent[];
  /** After the last growth of every answer. */
  end(answers: readonly Answer[]): StreamEvent[];
}

/** A request as it was understood, and the form of its answer. */
export interface Exchange {
  asked: Asked;
  body(answers: readonly Answer[], facts: CallFacts): unknown;
  stream(facts: CallFacts): AnswerStream;
}

/** The form in which an API tells errors. */
export interface ErrorForm {
  body(problem: ApiProblem, requestId: string): unknown;
  /** The same in the midst of a stream. */
  events(problem: ApiProblem, requestId: string): StreamEvent[];
}

/** An API that asks for answers: pure functions between its bodies and ours. */
export interface Dialect {
  /** @throws {ApiProblem} naming the field at fault. */
  read(body: unknown): Exchange;
  errors: ErrorForm;
}
