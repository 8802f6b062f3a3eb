import type { ForgeError } from '@forge/errors';
import type { ActorClass } from '../actor/actor-base';
import type { Birth } from '../actor/birth';
import type { ActorFailure } from '../runtime/actor-runtime';
import type { Channel } from '../transports/transport';

/** A process that actors live in, as its owner sees it. */
export interface ActorProcess {
  readonly pid: number;
  readonly channel: Channel;
  /** Resolves with the reason once the process has died, hangs or has been stopped. */
  readonly lost: Promise<ForgeError>;
  /** Failures of its actors that nothing in the process has handled; ends with the process. */
  readonly failures: AsyncIterable<ActorFailure>;
  /** @throws {ForgeError} what constructor or `setup` threw; CONFIG_ACTOR_UNLOADABLE; TRANSIENT_REPLICA_LOST. */
  spawn(id: string, actorClass: ActorClass, birth: Birth, args: readonly unknown[]): Promise<void>;
  /** Drains an actor for at most `drainMs` and ends it. */
  stopActor(id: string, drainMs: number): Promise<void>;
  /**
   * Drains and ends its actors, then the process; by force when that takes longer than the drain and a grace.
   *
   * @throws {ForgeError} what a cleanup threw, once the process has ended.
   */
  stop(drainMs: number): Promise<void>;
  /** Ends the process at once, without a word to its actors. */
  kill(): Promise<void>;
}

/** A place that starts actor processes. */
export interface ProcessSource {
  /**
   * Starts processes that see `gpusPerProcess` GPUs of their own, until they end; with 0, what the place itself sees.
   *
   * @throws {ForgeError} CAPACITY_GPUS with the numbers; TRANSIENT_REPLICA_LOST. Then none of them is left.
   */
  start(count: number, gpusPerProcess: number): Promise<ActorProcess[]>;
}
