import { birthOf } from './birth';
import type { Point } from './extent';
import type { Failure } from './supervision';

/** The life of an actor: birth, set-up, supervision, clean-up. */
export abstract class ActorBase {
  /** The name that the actor was spawned with. */
  protected readonly actorName: string;
  /** The position of the actor in its mesh. */
  protected readonly point: Point;

  constructor() {
    const { name, point } = birthOf(new.target.name);
    this.actorName = name;
    this.point = point;
  }

  /** Runs once, before the first message. */
  async setup(): Promise<void> {
    // Nothing to prepare by default.
  }

  /** Runs once, after the last message and after everything this actor spawned has stopped. */
  async cleanup(): Promise<void> {
    // Nothing to release by default.
  }

  /**
   * Decides about a failure of something that this actor spawned. True: handled. False: the failure goes on to the
   * owner of this actor. Throwing makes a new failure, with the first as its cause.
   */
  supervise(_failure: Failure): boolean | Promise<boolean> {
    return false;
  }
}

/** A concrete actor class whose constructor takes `Args`. */
export type ActorClass<A extends ActorBase = ActorBase, Args extends unknown[] = never[]> = (new (
  ...args: Args
) => A) & { readonly name: string };

type Reserved = keyof ActorBase;

/** The methods of an actor that can be called by message. */
export type EndpointName<A> = {
  [K in Exclude<keyof A, Reserved>]: A[K] extends (...args: never[]) => unknown ? K : never;
}[Exclude<keyof A, Reserved>] &
  string;
