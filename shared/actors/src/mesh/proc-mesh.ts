import { ForgeError } from '@forge/errors';
import type { ActorBase, ActorClass } from '../actor/actor-base';
import { currentOwner } from '../actor/call-context';
import { Extent, type Dimensions, type Selection } from '../actor/extent';
import type { Owner, StopOptions, Supervise } from '../actor/supervision';
import type { ProcessSource } from '../process/actor-process';
import { LocalProcess } from '../process/local-process';
import { actorMesh, type ActorMesh } from './actor-mesh';
import type { ActorRef } from './actor-ref';
import { ProcGroup } from './proc-group';

export interface SpawnProcsOptions {
  /** Name of the mesh in messages. Default: its dimensions. */
  name?: string;
  /** Gives every process a GPU of its own, the only one it sees. Default false. */
  withGpus?: boolean;
  /** Asked first when a process dies or hangs, or an actor fails without a caller. */
  onFailure?: Supervise;
}

/** Processes with named dimensions, or a part of them. */
export class ProcMesh<D extends string = string> {
  /** @internal */
  constructor(
    private readonly group: ProcGroup,
    private readonly extent: Extent,
    private readonly isPart: boolean,
  ) {}

  get name(): string {
    return this.group.name;
  }

  get size(): number {
    return this.extent.size;
  }

  get dimensions(): Dimensions<D> {
    return this.extent.dimensions;
  }

  /** Process ids, in the order of the ranks. */
  get pids(): readonly number[] {
    return this.extent.ranks().map((rank) => this.group.processes[rank]?.pid ?? 0);
  }

  /**
   * Spawns one actor per process. The class must be exported by the module that defines it.
   *
   * @throws {ForgeError} what a constructor or `setup` threw (then none is left); CONFIG_ACTOR_UNLOADABLE;
   *   TRANSIENT_REPLICA_LOST.
   */
  async spawn<A extends ActorBase, Args extends unknown[]>(
    name: string,
    actorClass: ActorClass<A, Args>,
    ...args: Args
  ): Promise<ActorMesh<A, D>> {
    const group = await this.group.spawn(
      name,
      actorClass as unknown as ActorClass,
      args,
      this.extent,
      currentOwner(),
    );
    return actorMesh<A, D>(group, this.extent, this);
  }

  /** Does what `spawn` does, for an owner other than the running code. @internal */
  async spawnOwned(
    name: string,
    actorClass: ActorClass,
    args: readonly unknown[],
    owner: Owner,
  ): Promise<ActorRef[]> {
    const actors = await this.group.spawn(name, actorClass, args, this.extent, owner);
    return this.extent.ranks().map((rank) => actors.ref(rank));
  }

  /**
   * A part of the mesh; its processes keep their ranks.
   *
   * @throws {ForgeError} CONTRACT_INVALID_CALL for a dimension or an index that is not in the mesh.
   */
  slice(selections: Readonly<Partial<Record<D, Selection>>>): ProcMesh<D> {
    return new ProcMesh(this.group, this.extent.slice(selections as Record<string, Selection>), true);
  }

  /**
   * Drains and ends actors and processes, children before owners.
   *
   * @throws {ForgeError} CONTRACT_INVALID_CALL for a part of a mesh; what a cleanup threw, once all have ended.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    if (this.isPart)
      throw new ForgeError('CONTRACT_INVALID_CALL', `${this.name}: a part can't be stopped alone`);
    await this.group.stop(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts the processes of a mesh. `owner` is told of unhandled failures, and takes the mesh along when it ends. */
export async function spawnProcMesh<D extends string>(
  host: ProcessSource,
  dimensions: Dimensions<D>,
  options: SpawnProcsOptions = {},
  owner: Owner = currentOwner(),
): Promise<ProcMesh<D>> {
  const extent = Extent.of(dimensions);
  const processes = await host.start(extent.size, options.withGpus === true ? 1 : 0);
  const name = options.name ?? extent.describe();
  const group = new ProcGroup(name, processes, owner, options.onFailure ?? (() => false));
  return new ProcMesh<D>(group, extent, false);
}

let local: ProcMesh<never> | null = null;

/** This process as a mesh of one; its actors are called like any other. */
export function thisProc(): ProcMesh<never> {
  local ??= new ProcMesh(
    new ProcGroup(`process ${process.pid}`, [new LocalProcess()], null, () => false),
    Extent.of({}),
    false,
  );
  return local;
}
