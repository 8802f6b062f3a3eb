import type { ActorBase, ActorClass } from './actor/actor-base';
import { thisHost } from './hosts/host';
import type { ActorMesh } from './mesh/actor-mesh';
import type { Service } from './service/service';
import type { ServiceOptions } from './service/service-options';
import { spawnService } from './service/spawn-service';

/** Options to run an actor class by; `numReplicas` and options of calls matter for a service only. */
export interface ActorOptions extends Omit<ServiceOptions, 'procsPerReplica'> {
  /** Processes of an actor, or of one replica of a service. Default 1. */
  procs?: number;
}

/** An actor class together with options; the class itself is as it was. */
export class ActorBlueprint<A extends ActorBase, Args extends unknown[]> {
  readonly procs: number;
  readonly numReplicas: number;
  readonly withGpus: boolean;

  constructor(
    private readonly actorClass: ActorClass<A, Args>,
    private readonly rest: ActorOptions,
  ) {
    this.procs = rest.procs ?? 1;
    this.numReplicas = rest.numReplicas ?? 1;
    this.withGpus = rest.withGpus ?? false;
  }

  /** The same class, with more options or others. */
  options(options: ActorOptions): ActorBlueprint<A, Args> {
    return new ActorBlueprint(this.actorClass, { ...this.rest, ...options });
  }

  /** A mesh of `procs` actors in processes of their own, which end by `actor.procs.stop()`. */
  async asActor(...args: Args): Promise<ActorMesh<A, 'procs'>> {
    const { name = this.actorClass.name, hosts } = this.rest;
    const host = hosts?.[0] ?? thisHost();
    const procs = await host.spawnProcs({ procs: this.procs }, { name, withGpus: this.withGpus });
    try {
      return await procs.spawn(name, this.actorClass, ...args);
    } catch (error) {
      await procs.stop({ drainMs: 0 });
      throw error;
    }
  }

  asService(...args: Args): Promise<Service<A>> {
    const { procs: procsPerReplica, ...rest } = { ...this.rest, procs: this.procs };
    return spawnService({ ...rest, procsPerReplica }, this.actorClass, ...args);
  }
}
