import type { ActorBase, EndpointName } from '../actor/actor-base';
import type { Dimensions, Extent, Selection } from '../actor/extent';
import type { StopOptions, Supervise } from '../actor/supervision';
import type { ActorGroup } from './actor-group';
import type { ActorRef } from './actor-ref';
import { endpointHandles } from './endpoint-handles';
import { MeshEndpoint, type MeshEndpointOf } from './mesh-endpoint';
import type { ProcMesh } from './proc-mesh';

/** Members that every mesh of actors has; the endpoints of its class come on top. */
export class ActorMeshBase<A extends ActorBase, D extends string> {
  readonly #group: ActorGroup;
  readonly #extent: Extent;
  readonly #procs: ProcMesh<D>;

  /** @internal */
  constructor(group: ActorGroup, extent: Extent, procs: ProcMesh<D>) {
    this.#group = group;
    this.#extent = extent;
    this.#procs = procs;
  }

  /** The processes it was spawned on. */
  get procs(): ProcMesh<D> {
    return this.#procs;
  }

  get name(): string {
    return this.#group.name;
  }

  get size(): number {
    return this.#extent.size;
  }

  get dimensions(): Dimensions<D> {
    return this.#extent.dimensions;
  }

  /**
   * A part of the mesh; its actors keep their ranks.
   *
   * @throws {ForgeError} CONTRACT_INVALID_CALL for a dimension or an index that is not in the mesh.
   */
  slice(selections: Readonly<Partial<Record<D, Selection>>>): ActorMesh<A, D> {
    return actorMesh<A, D>(
      this.#group,
      this.#extent.slice(selections as Record<string, Selection>),
      this.procs,
    );
  }

  /** The member of a mesh of one. @internal */
  onlyRef(): ActorRef {
    return this.#group.ref(this.#extent.ranks()[0]!);
  }

  /** Sets the handler that is asked first about failures, in place of the last; true handles them, false passes them on. */
  onFailure(supervise: Supervise): void {
    this.#group.onFailure = supervise;
  }

  /** Drains and ends the actors of the whole mesh; the processes live on. */
  async stop(options: StopOptions = {}): Promise<void> {
    await this.#group.stop(options);
  }
}

/** Actors, one per process of a mesh, with an adverb for every way of calling them. */
export type ActorMesh<A extends ActorBase, D extends string = string> = ActorMeshBase<A, D> & {
  readonly [K in Exclude<EndpointName<A>, keyof ActorMeshBase<A, D>>]: MeshEndpointOf<A[K]>;
};

/** @internal */
export function actorMesh<A extends ActorBase, D extends string>(
  group: ActorGroup,
  extent: Extent,
  procs: ProcMesh<D>,
): ActorMesh<A, D> {
  const base = new ActorMeshBase<A, D>(group, extent, procs);
  return endpointHandles(base, (name) => new MeshEndpoint(group, extent, name)) as ActorMesh<A, D>;
}
