import { ForgeError } from '@forge/errors';
import type { ActorClass, Failure, ForgeActor } from '../actor/actor-base';
import { actorMesh, ActorGroup, ActorMeshBase, type ActorMesh } from './actor-mesh';
import type { ActorProcess } from '../process/actor-process';
import { ActorRef } from './actor-ref';
import { currentOwner } from '../actor/call-context';
import { endpointsOf } from '../actor/endpoint';
import { refuseReserved } from './endpoint-handles';
import { Extent, type Dimensions, type Selection } from '../actor/extent';
import type { Host } from '../hosts/host';
import { LocalProcess } from '../process/local-process';
import { shortId } from '../short-id';
import { passedOn, type Owned, type Owner } from '../actor/supervision';

/** Handles a failure (true), or passes it on to the owner (false). */
export type Supervise = (failure: Failure) => boolean | Promise<boolean>;

export interface StopOptions {
  /** How long messages that have come may still take. Default 10,000. */
  drainMs?: number;
}

export interface SpawnProcsOptions {
  /** In messages about the mesh. Default: its dimensions. */
  name?: string;
  /** Gives every process a GPU of its own, the only one it sees. Default false. */
  withGpus?: boolean;
  /** Asked first when a process dies or hangs, or an actor fails with nobody waiting. */
  onFailure?: Supervise;
}

const DRAIN_MS = 10_000;

/** The processes of a mesh: they start, fail and stop together. */
class ProcGroup implements Owned {
  private readonly actors = new Map<string, ActorGroup>();
  private stopping: Promise<void> | null = null;

  constructor(
    readonly name: string,
    readonly processes: readonly ActorProcess[],
    private readonly owner: Owner | null,
    private readonly onFailure: Supervise,
  ) {
    owner?.adopt(this);
    for (const [rank, process] of processes.entries()) this.watch(rank, process);
  }

  async spawn(
    name: string,
    actorClass: ActorClass,
    args: readonly unknown[],
    extent: Extent,
    owner: Owner,
  ): Promise<ActorGroup> {
    refuseReserved(endpointsOf(actorClass).keys(), ActorMeshBase);
    const id = `${name}-${shortId()}`;
    const ranks = extent.ranks();
    const spawned = await Promise.allSettled(
      ranks.map((rank, position) => {
        const point = { rank, coordinates: extent.coordinates(position) };
        return this.processOf(rank).spawn(id, actorClass, { name, point }, args);
      }),
    );
    const refs = new Map(ranks.map((rank) => [rank, new ActorRef(this.processOf(rank), id)]));
    const stop = async (drainMs: number): Promise<void> => {
      this.actors.delete(id);
      if (this.stopping !== null) return;
      await everyEnd(ranks.map((rank) => this.processOf(rank).stopActor(id, drainMs)));
    };
    const group = new ActorGroup(name, actorClass, refs, owner, stop);
    const failed = spawned.find((one) => one.status === 'rejected');
    if (failed !== undefined) {
      await group.stop({ drainMs: 0 }).catch(() => undefined);
      throw ForgeError.from(failed.reason);
    }
    this.actors.set(id, group);
    return group;
  }

  stop({ drainMs = DRAIN_MS }: StopOptions = {}): Promise<void> {
    this.stopping ??= (async () => {
      try {
        await everyEnd(this.processes.map((process) => process.stop(drainMs)));
      } finally {
        for (const group of this.actors.values()) group.forget();
        this.owner?.release(this);
      }
    })();
    return this.stopping;
  }

  private processOf(rank: number): ActorProcess {
    const process = this.processes[rank];
    if (process === undefined) throw new ForgeError('BUG_INVARIANT', `${this.name} has no rank ${rank}`);
    return process;
  }

  private watch(rank: number, process: ActorProcess): void {
    void process.lost.then((error) => {
      if (this.stopping !== null) return;
      const groups = [...this.actors.values()].filter((group) => group.has(rank));
      if (groups.length === 0) void this.fail({ name: this.name, rank, error }, null);
      for (const group of groups) void this.fail({ name: group.name, rank, error }, group);
    });
    void (async () => {
      for await (const { actor, failure } of process.failures) {
        const group = this.actors.get(actor);
        if (group !== undefined) void this.fail({ ...failure, rank }, group);
      }
    })();
  }

  /** Asks the actor mesh, then the process mesh, then whoever spawned it. */
  private async fail(failure: Failure, group: ActorGroup | null): Promise<void> {
    let open: Failure | null = failure;
    if (group !== null) open = await passedOn(group.name, group.onFailure, open);
    if (open !== null) open = await passedOn(this.name, this.onFailure, open);
    if (open !== null) await (group?.owner ?? this.owner)?.handle(open);
  }
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

  /** Of the operating system, in the order of the ranks. */
  get pids(): readonly number[] {
    return this.extent.ranks().map((rank) => this.group.processes[rank]?.pid ?? 0);
  }

  /**
   * One actor per process. The class must be exported by the module that defines it.
   *
   * @throws {ForgeError} what a constructor or `setup` threw (then none is left); CONFIG_ACTOR_UNLOADABLE;
   *   TRANSIENT_REPLICA_LOST.
   */
  async spawn<A extends ForgeActor, Args extends unknown[]>(
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

  /** As `spawn`, for an owner other than the running code. @internal */
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

/** What `host.spawnProcs` does; `owner` is told of failures that nobody handles, and takes the mesh along. */
export async function spawnProcMesh<D extends string>(
  host: Pick<Host, 'start'>,
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

/** Waits for all; then throws what one of them threw, unless what was to be stopped was gone already. */
async function everyEnd(stopping: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(stopping)) {
    if (outcome.status === 'fulfilled') continue;
    const error = ForgeError.from(outcome.reason);
    if (error.code !== 'TRANSIENT_REPLICA_LOST') throw error;
  }
}

let local: ProcMesh<never> | null = null;

/** This process as a mesh of one; what is spawned in it is called like any other actor. */
export function thisProc(): ProcMesh<never> {
  local ??= new ProcMesh(
    new ProcGroup(`process ${process.pid}`, [new LocalProcess()], null, () => false),
    Extent.of({}),
    false,
  );
  return local;
}
