import { ForgeError, type WireError } from '@forge/errors';
import type { Failure } from '../actor/supervision';
import type { ActorFailure } from './actor-runtime';
import { KIND } from '../wire/frame';
import { refusalIn } from '../wire/refusal';
import { Fifo } from './fifo';

/** A failure as it travels. */
export interface WireFailure {
  name: string;
  rank?: number;
  error: WireError;
  cause?: WireFailure;
}

export interface WireActorFailure {
  actor: string;
  failure: WireFailure;
}

/** Failures on their way to the owner of the process, in order; one reader. */
export class FailureLog implements AsyncIterable<WireActorFailure> {
  private readonly waiting = new Fifo<WireActorFailure>();
  private wake: () => void = () => undefined;

  add({ actor, failure }: ActorFailure): void {
    this.waiting.add({ actor, failure: toWire(failure) });
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WireActorFailure> {
    for (;;) {
      const next = this.waiting.take();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

function toWire({ error, cause, ...rest }: Failure): WireFailure {
  return { ...rest, error: sendable(error.toWire()), ...(cause && { cause: toWire(cause) }) };
}

/** The error itself, or, when its details can't be sent, the error without them. */
function sendable(error: WireError): WireError {
  return refusalIn([KIND.error, 0, error.details]) === null ? error : { ...error, details: {} };
}

export function failureFromWire({ error, cause, ...rest }: WireFailure): Failure {
  return { ...rest, error: ForgeError.fromWire(error), ...(cause && { cause: failureFromWire(cause) }) };
}
