import { ActorBase, type ActorClass } from './actor/actor-base';
import { ActorBlueprint, type ActorOptions } from './blueprint';
import type { ActorMesh } from './mesh/actor-mesh';
import type { Service } from './service/service';

/**
 * Base of every actor. Keep the constructor cheap and do heavy work in `setup`, whose failure reaches the code that
 * spawns the actor. Methods marked `@endpoint()` answer messages, one at a time.
 */
export abstract class ForgeActor extends ActorBase {
  /** The class with options to run it by: `Counter.options({ procs: 1, numReplicas: 2 }).asService(3)`. */
  static options<A extends ActorBase, Args extends unknown[]>(
    this: ActorClass<A, Args>,
    options: ActorOptions,
  ): ActorBlueprint<A, Args> {
    return new ActorBlueprint(this, options);
  }

  /** One actor in a process of its own, which ends by `actor.procs.stop()`. */
  static asActor<A extends ActorBase, Args extends unknown[]>(
    this: ActorClass<A, Args>,
    ...args: Args
  ): Promise<ActorMesh<A, 'procs'>> {
    return new ActorBlueprint(this, {}).asActor(...args);
  }

  /** A service of one replica. */
  static asService<A extends ActorBase, Args extends unknown[]>(
    this: ActorClass<A, Args>,
    ...args: Args
  ): Promise<Service<A>> {
    return new ActorBlueprint(this, {}).asService(...args);
  }
}
