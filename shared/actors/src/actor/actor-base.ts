import type { ForgeError } from '@forge/errors';
import type { ActorMesh } from '../mesh/actor-mesh';
import { birthOf } from './birth';
import { ActorBlueprint, type ActorOptions } from '../blueprint';
import type { Point } from './extent';
import type { Service } from '../service/service';

/**
 * Base of every actor. Keep the constructor cheap and do heavy work in `setup`, whose failure reaches whoever spawns
 * the actor. Methods marked `@endpoint()` answer messages, one at a time.
 */
export abstract class ForgeActor {
  /** The name it was spawned with. */
  protected readonly actorName: string;
  /** Where it stands in its mesh. */
  protected readonly point: Point;

  constructor() {
    const { name, point } = birthOf(new.target.name);
    this.actorName = name;
    this.point = point;
  }

  /** The class with options to run it by: `Counter.options({ procs: 1, numReplicas: 2 }).asService(3)`. */
  static options<A extends ForgeActor, Args extends unknown[]>(
    this: ActorClass<A, Args>,
    options: ActorOptions,
  ): ActorBlueprint<A, Args> {
    return new ActorBlueprint(this, options);
  }

  /** One actor in a process of its own, which ends by `actor.procs.stop()`. */
  static asActor<A extends ForgeActor, Args extends unknown[]>(
    this: ActorClass<A, Args>,
    ...args: Args
  ): Promise<ActorMesh<A, 'procs'>> {
    return new ActorBlueprint(this, {}).asActor(...args);
  }

  /** A service of one replica. */
  static asService<A extends ForgeActor, Args extends unknown[]>(
    this: ActorClass<A, Args>,
    ...args: Args
  ): Promise<Service<A>> {
    return new ActorBlueprint(this, {}).asService(...args);
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
   * Asked when something this actor spawned has failed. True: handled. False: the failure goes on to whoever spawned
   * this actor. Throwing makes a new failure of it, with the first as its cause.
   */
  supervise(_failure: Failure): boolean | Promise<boolean> {
    return false;
  }
}

/** Something spawned that broke by itself: a process that died or hung, or an exception nobody was waiting for. */
export interface Failure {
  /** The mesh or service that failed. */
  readonly name: string;
  /** Of its members; left out when it is all of it. */
  readonly rank?: number;
  readonly error: ForgeError;
  /** What this failure came from, when supervision passed it on. */
  readonly cause?: Failure;
}

/** A concrete actor class whose constructor takes `Args`. */
export type ActorClass<A extends ForgeActor = ForgeActor, Args extends unknown[] = never[]> = (new (
  ...args: Args
) => A) & { readonly name: string };

type Reserved = keyof ForgeActor;

/** The methods of an actor that can be called by message. */
export type EndpointName<A> = {
  [K in Exclude<keyof A, Reserved>]: A[K] extends (...args: never[]) => unknown ? K : never;
}[Exclude<keyof A, Reserved>] &
  string;
