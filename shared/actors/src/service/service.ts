import type { ActorBase, EndpointName } from '../actor/actor-base';
import type { StopOptions } from '../actor/supervision';
import { endpointHandles } from '../mesh/endpoint-handles';
import type { ReplicaState } from './replica';
import type { ServiceCore } from './service-core';
import { ServiceEndpoint, type ServiceEndpointOf } from './service-endpoint';
import type { ServiceEvents } from './service-events';
import type { ServiceMetrics } from './service-metrics';
import type { ServiceConfig } from './service-options';
import { Session, type SessionOptions } from './session';

/** A replica as it stands. */
export interface ReplicaStatus {
  readonly index: number;
  /** Name of its actors; null while the replica is not up. */
  readonly name: string | null;
  readonly state: ReplicaState;
  /** Process ids, by rank; empty while the replica is not up. */
  readonly pids: readonly number[];
  readonly restarts: number;
  /** Reason why the replica is not healthy: code and message. */
  readonly reason: string | null;
}

/** Members that every service has; the endpoints of its class come on top. */
export class ServiceBase {
  readonly #core: ServiceCore;

  /** @internal */
  constructor(core: ServiceCore) {
    this.#core = core;
  }

  get name(): string {
    return this.#core.name;
  }

  get config(): ServiceConfig {
    return this.#core.config;
  }

  /**
   * Opens a sticky session. `await using session = service.session()` makes it that of the running function from here
   * on, and of what it starts, until its end. A function that opens one before its first `await` opens it for its
   * caller as well: `withSession` keeps to its body.
   */
  session(options?: SessionOptions): Session {
    const session = new Session(this.#core, options);
    session.enter();
    return session;
  }

  /** Runs `body` inside a session of its own, which ends with it. */
  async withSession<T>(body: (session: Session) => Promise<T>, options?: SessionOptions): Promise<T> {
    const session = new Session(this.#core, options);
    try {
      return await session.run(() => body(session));
    } finally {
      session.end();
    }
  }

  /** A session by id, for calls `with({ session: id })`, until `endSession`. An id that was never started is one too. */
  startSession(options?: SessionOptions): string {
    return new Session(this.#core, options).id;
  }

  endSession(id: string): void {
    this.#core.dispatcher.sessions.end(id);
  }

  /** The index of the replica by session; null before its first call. */
  sessions(): ReadonlyMap<string, number | null> {
    return this.#core.dispatcher.sessions.placements();
  }

  /**
   * Changes the number of replicas while the service runs; resolves once new ones are up, or those that leave have
   * finished what they had begun (at most `drainMs`).
   *
   * @throws {ForgeError} CONFIG_INVALID for less than one; why a replica did not start.
   */
  scale(numReplicas: number, { drainMs = 60_000 }: StopOptions = {}): Promise<void> {
    return this.#core.scale(numReplicas, drainMs);
  }

  replicas(): ReplicaStatus[] {
    return this.#core.replicas.all.map(({ index, state, launched, budget, reason }) => ({
      index,
      name: launched?.name ?? null,
      state,
      pids: launched?.pids ?? [],
      restarts: budget.total,
      reason: reason === null ? null : `${reason.code}: ${reason.message}`,
    }));
  }

  metrics(): ServiceMetrics {
    return this.#core.metrics();
  }

  on<E extends keyof ServiceEvents>(event: E, listener: (...args: ServiceEvents[E]) => void): void {
    this.#core.events.on(event, listener as never);
  }

  off<E extends keyof ServiceEvents>(event: E, listener: (...args: ServiceEvents[E]) => void): void {
    this.#core.events.off(event, listener as never);
  }

  /** Rejects what is queued, lets what is under way finish for at most `drainMs`, ends all replicas. */
  async shutdown(options: StopOptions = {}): Promise<void> {
    await this.#core.stop(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}

/** Replicas of an actor class behind one handle. */
export type Service<A extends ActorBase = ActorBase> = ServiceBase & {
  readonly [K in Exclude<EndpointName<A>, keyof ServiceBase>]: ServiceEndpointOf<A[K]>;
};

/** @internal */
export function serviceHandle<A extends ActorBase>(core: ServiceCore): Service<A> {
  return endpointHandles(new ServiceBase(core), (name) => new ServiceEndpoint(core, name)) as Service<A>;
}
