import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import { ActorRef } from '../mesh/actor-ref';
import { connectTo } from '../transports/connections';
import type { Address } from '../transports/transport';
import { Replica } from './replica';
import type { Replicas, ReplicasObserver } from './replicas';
import { RestartBudget } from './restart-budget';
import type { ServiceEventBus } from './service-events';
import type { ServiceConfig } from './service-options';

/** A replica that runs somewhere, as its directory knows it. */
export interface DeployedReplica {
  readonly name: string;
  readonly pid: number;
  readonly address: Address;
  /** The id of its actor at that address. */
  readonly actor: string;
  /** Whether it was heard of lately: only then is it worth connecting to. One that is connected needs no hearsay. */
  readonly isAlive: boolean;
}

/** Directory of the replicas of a service. */
export interface ReplicaDirectory {
  /** The replicas that take calls; one that has left is not among them, one that may have died is. */
  list(): Promise<readonly DeployedReplica[]>;
}

/** Pause between two looks into the directory: while some replica is up, and while none is. */
const LOOK_MS = 500;
const LOOK_ANXIOUSLY_MS = 50;

/**
 * The replicas of a service that others run: taken up as the directory lists them, let go when their channel is lost.
 * A replica that is listed no more gets no further calls and finishes the ones it has. Nothing is started or ended here.
 */
export class DeployedReplicas implements Replicas {
  readonly exhaustedBy = null;
  private members: Replica[] = [];
  private readonly byAddress = new Map<Address, Replica>();
  /** Replicas that get calls, and replicas that are leaving. */
  private readonly connected = new Set<Replica>();
  private nextIndex = 0;
  private readonly halted = new AbortController();
  private following: Promise<void> | null = null;

  constructor(
    private readonly config: ServiceConfig,
    private readonly directory: ReplicaDirectory,
    private readonly events: ServiceEventBus,
    private readonly observer: ReplicasObserver,
    private readonly clock: () => number,
  ) {}

  get all(): readonly Replica[] {
    return this.members;
  }

  get healthy(): readonly Replica[] {
    return this.members;
  }

  /** Begins to look for replicas; there may be none yet. */
  open(): void {
    this.following ??= this.follow();
  }

  grow(): Promise<void> {
    return Promise.reject(this.notOurs());
  }

  shrink(): Promise<void> {
    return Promise.reject(this.notOurs());
  }

  fail(replica: Replica, error: ForgeError, generation: number): void {
    if (!replica.isHealthy || generation !== replica.generation) return;
    this.forget(replica, error);
  }

  async stop(): Promise<void> {
    this.halted.abort();
    const gone = new ForgeError('CANCELLED', `the connection to ${this.config.name} was closed`);
    for (const replica of [...this.connected]) this.forget(replica, gone);
    await this.following;
  }

  private async follow(): Promise<void> {
    const { signal } = this.halted;
    while (!signal.aborted) {
      // Keep the known replicas while the directory does not answer.
      const listed = await this.directory.list().catch(() => null);
      if (signal.aborted) return;
      if (listed !== null) await this.compare(listed);
      const pauseMs = this.members.length > 0 ? LOOK_MS : LOOK_ANXIOUSLY_MS;
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async compare(listed: readonly DeployedReplica[]): Promise<void> {
    const addresses = new Set(listed.map(({ address }) => address));
    for (const [address, replica] of this.byAddress) if (!addresses.has(address)) this.retire(replica);
    const fresh = listed.filter(({ address, isAlive }) => isAlive && !this.byAddress.has(address));
    // Look again later for a replica that does not answer: it has just died, or is about to be there.
    await Promise.allSettled(fresh.map((deployed) => this.take(deployed)));
  }

  private async take({ address, actor, name, pid }: DeployedReplica): Promise<void> {
    const channel = await connectTo(address);
    if (this.halted.signal.aborted) {
      await channel.close();
      return;
    }
    const replica = new Replica(
      this.nextIndex++,
      this.config,
      new RestartBudget(this.config.restarts),
      this.clock,
      this.observer,
    );
    replica.launch({
      name,
      pids: [pid],
      refs: [new ActorRef({ channel }, actor)],
      stop: () => channel.close(),
    });
    this.byAddress.set(address, replica);
    this.connected.add(replica);
    this.members = [...this.members, replica];
    void channel.lost.then((error) => {
      this.forget(replica, error);
    });
    this.observer.up();
  }

  /** Gives a replica no more calls; it closes its channel when it has finished. */
  private retire(replica: Replica): void {
    this.members = this.members.filter((one) => one !== replica);
    for (const [address, one] of this.byAddress) if (one === replica) this.byAddress.delete(address);
    replica.state = 'STOPPED';
    this.observer.displaced(replica.takeQueued());
  }

  private forget(replica: Replica, error: ForgeError): void {
    const { launched } = replica;
    if (launched === null) return;
    const isKnown = this.members.includes(replica);
    replica.launched = null;
    replica.reason = error;
    this.connected.delete(replica);
    void launched.stop(0);
    if (!isKnown) return;
    this.retire(replica);
    this.events.tell('replica-failed', { replica: replica.index, error });
  }

  private notOurs(): ForgeError {
    const message = `${this.config.name} is run by others: its number of replicas is theirs to change`;
    return new ForgeError('CONTRACT_INVALID_CALL', message, { service: this.config.name });
  }
}
