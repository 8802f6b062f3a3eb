import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import type { Failure } from '../actor/supervision';
import { Replica, type LaunchedReplica } from './replica';
import type { Replicas, ReplicasObserver } from './replicas';
import { RestartBudget } from './restart-budget';
import type { ServiceEventBus } from './service-events';
import type { ServiceConfig } from './service-options';

/** Starts the processes and actors of one replica, and tells of their failures. */
export type Launch = (replica: number, onFailure: (failure: Failure) => void) => Promise<LaunchedReplica>;

/** The replicas of a service: starts them, starts failed ones anew, and lets them go. */
export class ReplicaSet implements Replicas {
  private members: Replica[] = [];
  private up: Replica[] = [];
  private nextIndex = 0;
  private readonly halted = new AbortController();
  private readonly recoveries = new Set<Promise<void>>();

  constructor(
    private readonly config: ServiceConfig,
    private readonly launch: Launch,
    private readonly events: ServiceEventBus,
    private readonly observer: ReplicasObserver,
    private readonly clock: () => number,
  ) {}

  get all(): readonly Replica[] {
    return this.members;
  }

  /** Replicas that take calls, in the order of their indices. */
  get healthy(): readonly Replica[] {
    return this.up;
  }

  /** Why no replica will ever come up again; null while one is up or being started. */
  get exhaustedBy(): ForgeError | null {
    const reasons = this.members.map(({ state, reason }) => (state === 'UNHEALTHY' ? reason : null));
    return reasons.includes(null) ? null : (reasons.at(-1) ?? null);
  }

  /** @throws {ForgeError} why a replica did not start; then none of the new ones is left. */
  async grow(by: number): Promise<void> {
    const added = Array.from({ length: by }, () => this.create());
    this.members = [...this.members, ...added];
    const started = await Promise.allSettled(added.map((replica) => this.start(replica)));
    const failed = started.find((one) => one.status === 'rejected');
    if (failed === undefined) {
      this.changed();
      this.observer.up();
      return;
    }
    this.members = this.members.filter((replica) => !added.includes(replica));
    await Promise.allSettled(added.map((replica) => this.end(replica, 0)));
    this.changed();
    throw ForgeError.from(failed.reason);
  }

  /** Lets the last ones finish what they have begun; what waits for them moves on. */
  async shrink(by: number, drainMs: number): Promise<void> {
    const leaving = this.members.slice(-by);
    this.members = this.members.slice(0, -by);
    for (const replica of leaving) replica.state = 'STOPPED';
    this.changed();
    this.observer.displaced(leaving.flatMap((replica) => replica.takeQueued()));
    await Promise.all(leaving.map((replica) => this.end(replica, drainMs)));
  }

  /** A replica is not to be trusted any more: no traffic, and a new start. Told twice of one failure, it acts once. */
  fail(replica: Replica, error: ForgeError, generation: number): void {
    if (!replica.isHealthy || generation !== replica.generation) return;
    replica.state = 'RECOVERING';
    replica.reason = error;
    this.changed();
    const recovery = this.recover(replica).finally(() => this.recoveries.delete(recovery));
    this.recoveries.add(recovery);
    this.events.tell('replica-failed', { replica: replica.index, error });
    this.observer.displaced(replica.takeQueued());
  }

  /** Ends all; calls under way have `drainMs`. Returns the calls that were queued. */
  async stop(drainMs: number): Promise<void> {
    const all = this.members;
    this.halted.abort();
    for (const replica of all) replica.state = 'STOPPED';
    this.changed();
    this.observer.displaced(all.flatMap((replica) => replica.takeQueued()));
    await Promise.all(this.recoveries);
    await Promise.all(all.map((replica) => this.end(replica, drainMs)));
  }

  private create(): Replica {
    const budget = new RestartBudget(this.config.restarts);
    const index = this.nextIndex++;
    return new Replica(index, this.config, budget, this.clock, this.observer);
  }

  private async start(replica: Replica): Promise<void> {
    let early: ForgeError | null = null;
    const generation = replica.generation + 1;
    const launched = await this.launch(replica.index, ({ error }) => {
      if (replica.generation < generation) early = error;
      else if (this.isFatal(error)) this.fail(replica, error, generation);
    });
    if (replica.state === 'STOPPED')
      early = new ForgeError('CANCELLED', 'the service was shut down meanwhile');
    if (early === null) replica.launch(launched);
    else {
      await launched.stop(0);
      throw early as ForgeError;
    }
  }

  /** Counts an exception without a caller unless the policy is to keep replicas; a lost process always counts. */
  private isFatal(error: ForgeError): boolean {
    return error.code === 'TRANSIENT_REPLICA_LOST' || this.config.failurePolicy === 'recover';
  }

  private async recover(replica: Replica): Promise<void> {
    // A failed replica may fail to clean up, too.
    await this.retire(replica, 0).catch(() => undefined);
    for (;;) {
      const delayMs = replica.budget.next(this.clock());
      if (delayMs === null) {
        this.giveUp(replica);
        return;
      }
      try {
        if (delayMs > 0) await sleep(delayMs, undefined, { signal: this.halted.signal });
        if (this.isLeaving(replica)) return;
        await this.start(replica);
        break;
      } catch (error) {
        if (this.isLeaving(replica)) return;
        replica.reason = ForgeError.from(error);
      }
    }
    if (this.isLeaving(replica)) return;
    this.changed();
    this.events.tell('replica-recovered', { replica: replica.index, restarts: replica.budget.total });
    this.observer.up();
  }

  private giveUp(replica: Replica): void {
    if (this.isLeaving(replica)) return;
    const error = replica.reason ?? new ForgeError('BUG_INVARIANT', 'a replica without a reason failed');
    replica.state = 'UNHEALTHY';
    this.events.tell('replica-given-up', { replica: replica.index, error });
    if (this.exhaustedBy !== null) this.observer.exhausted(error);
  }

  private isLeaving(replica: Replica): boolean {
    return this.halted.signal.aborted || !this.members.includes(replica);
  }

  private async end(replica: Replica, drainMs: number): Promise<void> {
    replica.state = 'STOPPED';
    await this.retire(replica, drainMs);
  }

  private async retire(replica: Replica, drainMs: number): Promise<void> {
    const { launched } = replica;
    replica.launched = null;
    await launched?.stop(drainMs);
  }

  private changed(): void {
    this.up = this.members.filter((replica) => replica.isHealthy);
  }
}
