import { ForgeError } from '@forge/errors';
import type { ActorClass } from '../actor/actor-base';
import { endpointsOf } from '../actor/endpoint';
import type { Extent } from '../actor/extent';
import {
  DRAIN_MS,
  passedOn,
  type Failure,
  type Owned,
  type Owner,
  type StopOptions,
  type Supervise,
} from '../actor/supervision';
import type { ActorProcess } from '../process/actor-process';
import { ActorGroup } from './actor-group';
import { ActorMeshBase } from './actor-mesh';
import { ActorRef } from './actor-ref';
import { refuseReserved } from './endpoint-handles';
import { shortId } from './short-id';

/** The processes of a mesh: they start, fail and stop together. */
export class ProcGroup implements Owned {
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

  /** Asks the actor mesh, then the process mesh, then its owner. */
  private async fail(failure: Failure, group: ActorGroup | null): Promise<void> {
    let open: Failure | null = failure;
    if (group !== null) open = await passedOn(group.name, group.onFailure, open);
    if (open !== null) open = await passedOn(this.name, this.onFailure, open);
    if (open !== null) await (group?.owner ?? this.owner)?.handle(open);
  }
}

/** Waits for all, then throws the first error; a process that was gone already is no error. */
async function everyEnd(stopping: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(stopping)) {
    if (outcome.status === 'fulfilled') continue;
    const error = ForgeError.from(outcome.reason);
    if (error.code !== 'TRANSIENT_REPLICA_LOST') throw error;
  }
}
