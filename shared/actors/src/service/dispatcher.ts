import { ForgeError } from '@forge/errors';
import { Fifo } from '../runtime/fifo';
import type { Replica } from './replica';
import { leastLoaded, routerOf, type Router } from './routers';
import type { ServiceCall } from './service-call';
import type { ServiceEventBus } from './service-events';
import type { ServiceConfig } from './service-options';
import { Sessions } from './sessions';

/** The replicas as they stand now. */
interface Replicas {
  readonly all: readonly Replica[];
  readonly healthy: readonly Replica[];
  readonly exhaustedBy: ForgeError | null;
}

/** Gives every call a replica: that of its session, or the one the router picks. Calls wait while none is up. */
export class Dispatcher {
  readonly sessions = new Sessions<Replica>(leastLoaded());
  private readonly router: Router;
  private readonly waiting = new Fifo<ServiceCall>();
  private isClosed = false;

  constructor(
    private readonly config: ServiceConfig,
    private readonly replicas: Replicas,
    private readonly events: ServiceEventBus,
  ) {
    this.router = routerOf(config.router);
  }

  /** Calls that wait for any replica to come up. */
  get waitingCalls(): number {
    return this.waiting.size;
  }

  /** Starts, queues or rejects a call. */
  place(call: ServiceCall): void {
    try {
      if (this.isClosed) throw this.unavailable('it was shut down');
      if (call.isCancelled) throw call.cancelled();
      if (this.replicas.healthy.length === 0) this.wait(call);
      else this.seatOf(call).accept(call);
    } catch (error) {
      call.reject(ForgeError.from(error));
    }
  }

  /** Places what has waited, now that a replica is up or none ever will be. */
  flush(): void {
    for (const call of this.waiting.drain()) {
      call.leavesQueue();
      this.place(call);
    }
  }

  /** Rejects what waits and what still comes. */
  close(): void {
    this.isClosed = true;
    this.flush();
  }

  /** @throws {ForgeError} TRANSIENT_SERVICE_UNAVAILABLE when no replica is up. */
  healthy(): readonly Replica[] {
    const { healthy } = this.replicas;
    if (healthy.length > 0 && !this.isClosed) return healthy;
    throw this.unavailable(this.isClosed ? 'it was shut down' : 'no replica is up');
  }

  private seatOf(call: ServiceCall): Replica {
    const { session } = call.terms.options;
    const { healthy } = this.replicas;
    // A call that moves after its session has ended must not open it again.
    const isSticky = session !== undefined && (call.attempts === 0 || this.sessions.has(session));
    if (isSticky) return this.sessionSeat(session, call);
    const picked = this.router(healthy, call.terms) as Replica;
    if (picked.hasRoom) return picked;
    const roomy = healthy.filter((replica) => replica.hasRoom);
    if (roomy.length === 0) throw this.full(call, `all ${healthy.length} replicas`);
    return this.router(roomy, call.terms) as Replica;
  }

  private sessionSeat(session: string, call: ServiceCall): Replica {
    const placement = this.sessions.place(session, this.replicas.healthy, call.terms);
    if (placement.kind === 'lost') {
      const message = `${this.config.name}: replica ${placement.from}, to which session ${session} was bound, is lost`;
      throw new ForgeError('TRANSIENT_SESSION_LOST', message, { session, replica: placement.from });
    }
    const { seat } = placement;
    if (placement.kind === 'moved')
      this.events.tell('session-moved', { session, from: placement.from, to: seat.index });
    if (!seat.hasRoom) throw this.full(call, `replica ${seat.index} of its session`);
    return seat;
  }

  private wait(call: ServiceCall): void {
    const { all, exhaustedBy } = this.replicas;
    if (exhaustedBy !== null) throw this.unavailable(`every replica was given up: ${exhaustedBy.message}`);
    if (this.waiting.size >= this.config.maxQueued * Math.max(1, all.length))
      throw this.full(call, 'the service while none is up');
    this.waiting.add(call);
    call.waitsIn(this.waiting, () => this.unavailable('no replica came up in time'));
  }

  private unavailable(why: string): ForgeError {
    const { name } = this.config;
    const states = this.replicas.all.map(({ state }) => state);
    return new ForgeError('TRANSIENT_SERVICE_UNAVAILABLE', `service ${name}: ${why}`, {
      service: name,
      states,
    });
  }

  /** The error of a call for which `what` has no room. */
  full(call: ServiceCall, what: string): ForgeError {
    const { maxConcurrent, maxQueued } = this.config;
    const message = `${call.where}: ${what}: ${maxConcurrent} calls under way and ${maxQueued} queued, no more fit`;
    return new ForgeError('CAPACITY_QUEUE_FULL', message, { maxConcurrent, maxQueued });
  }
}
