import { ForgeError } from '@forge/errors';
import type { ActorClass } from '../actor/actor-base';
import type { Birth } from '../actor/birth';
import { stopAll } from '../actor/stop-all';
import type { Failure } from '../actor/supervision';
import type { Cancellation, Handler } from '../transports/transport';
import type { CallRequest } from '../wire/call-request';
import { ActorCell } from './actor-cell';

/** A failure of an actor, with the id it has in its process. */
export interface ActorFailure {
  readonly actor: string;
  readonly failure: Failure;
}

/** The id of the actor by which the owner of a process rules it; it lives as long as the process. */
export const AGENT = 'process';

/** The actors of one process, by id: what answers the calls that reach it. */
export class ActorRuntime implements Handler {
  private readonly cells = new Map<string, ActorCell>();

  constructor(private readonly report: (failure: ActorFailure) => void) {}

  /** @throws {ForgeError} what constructor or `setup` threw; then there is no such actor. */
  async spawn(id: string, actorClass: ActorClass, birth: Birth, args: readonly unknown[]): Promise<void> {
    const cell = new ActorCell(actorClass, birth, (failure) => {
      this.report({ actor: id, failure });
    });
    await cell.start(args);
    this.cells.set(id, cell);
  }

  /** Drains an actor for at most `drainMs` and ends it; ignores an unknown id. */
  async stopActor(id: string, drainMs: number): Promise<void> {
    const cell = this.cells.get(id);
    this.cells.delete(id);
    await cell?.stop(drainMs);
  }

  /** Ends all actors, latest first. @throws {ForgeError} the first error of a cleanup, once all have ended. */
  async stop(drainMs: number): Promise<void> {
    const ids = [...this.cells.keys()].filter((id) => id !== AGENT);
    await stopAll(ids.reverse(), (id) => this.stopActor(id, drainMs));
  }

  async call(request: CallRequest, cancellation: Cancellation): Promise<unknown> {
    return this.cell(request).call(request, cancellation);
  }

  stream(request: CallRequest, cancellation: Cancellation): AsyncIterable<unknown> {
    try {
      return this.cell(request).stream(request, cancellation);
    } catch (error) {
      return rejecting(error);
    }
  }

  private cell({ actor }: CallRequest): ActorCell {
    const cell = this.cells.get(actor);
    if (cell !== undefined) return cell;
    throw new ForgeError('TRANSIENT_REPLICA_LOST', `the actor ${actor} is not here: it has stopped`, {
      actor,
    });
  }
}

function rejecting(error: unknown): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(ForgeError.from(error)) }) };
}
