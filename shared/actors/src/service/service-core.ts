import { ForgeError } from '@forge/errors';
import type { Endpoint } from '../actor/endpoint';
import { DRAIN_MS, type Owned, type Owner, type StopOptions } from '../actor/supervision';
import { message, type CallOptions } from '../mesh/actor-ref';
import { Dispatcher } from './dispatcher';
import type { Replica } from './replica';
import type { Replicas, ReplicasObserver } from './replicas';
import { ServiceCall, type CallTerms } from './service-call';
import { ServiceEventBus } from './service-events';
import { instrument } from './service-instruments';
import { summarize, type ServiceMetrics } from './service-metrics';
import { invalid, type ServiceConfig } from './service-options';

/** An idempotent call that has lost so many replicas may itself be what kills them. */
const MAX_ATTEMPTS = 5;

/** One service: its replicas and the calls on their way to them. */
export class ServiceCore implements Owned {
  readonly events = new ServiceEventBus();
  readonly dispatcher: Dispatcher;
  readonly replicas: Replicas;
  private stopping: Promise<void> | null = null;
  private scaling: Promise<void> = Promise.resolve();
  private readonly instruments: ReturnType<typeof instrument>;

  constructor(
    readonly config: ServiceConfig,
    readonly endpoints: ReadonlyMap<string, Endpoint>,
    replicasOf: (events: ServiceEventBus, observer: ReplicasObserver) => Replicas,
    private readonly owner: Owner,
    private readonly stopped: () => void,
    private readonly clock: () => number = () => performance.now(),
  ) {
    const observer = {
      up: () => {
        this.dispatcher.flush();
      },
      displaced: (calls: readonly ServiceCall[]) => {
        for (const call of calls) {
          call.leavesQueue();
          if (call.terms.moves === 'never') call.reject(displaced(call));
          else this.dispatcher.place(call);
        }
      },
      exhausted: (error: ForgeError) => {
        this.dispatcher.flush();
        void owner.handle({ name: this.name, error });
      },
      callFailed: this.callFailed.bind(this),
      callEnded: (replica: Replica, call: ServiceCall, latencyMs: number, error: ForgeError | null) => {
        const { endpoint } = call.terms;
        this.instruments.record(latencyMs, endpoint, error?.code);
        if (this.events.listenerCount('call-ended') === 0) return;
        this.events.tell('call-ended', { endpoint, replica: replica.index, latencyMs, error });
      },
    };
    this.replicas = replicasOf(this.events, observer);
    this.dispatcher = new Dispatcher(config, this.replicas, this.events);
    this.instruments = instrument(this.name, () => this.metrics());
    owner.adopt(this);
  }

  get name(): string {
    return this.config.name;
  }

  metrics(): ServiceMetrics {
    return summarize(this.replicas, this.dispatcher);
  }

  /** @throws {ForgeError} why a replica did not start; then the service is gone. */
  async start(): Promise<void> {
    try {
      await this.replicas.grow(this.config.numReplicas);
    } catch (error) {
      await this.stop().catch(() => undefined);
      throw error;
    }
  }

  /** A call with one result, on a replica the dispatcher picks. */
  choose(
    endpoint: string,
    args: readonly unknown[],
    options: CallOptions,
    allRanks: boolean,
  ): Promise<unknown> {
    const sent = message(endpoint, args);
    const moves = this.endpoints.get(endpoint)?.idempotent === true ? 'always' : 'until-started';
    return this.submit(endpoint, args, options, moves, (replica, timeoutMs) =>
      replica.send({ ...sent, options: inTime(options, timeoutMs) }, allRanks),
    );
  }

  /** The same on one replica that is given. */
  on(
    replica: Replica,
    endpoint: string,
    args: readonly unknown[],
    options: CallOptions,
    allRanks: boolean,
  ): Promise<unknown> {
    const sent = message(endpoint, args);
    return new Promise((resolve, reject) => {
      const terms = this.terms(endpoint, args, options, 'never');
      const perform = (to: Replica, timeoutMs: number | undefined): Promise<unknown> =>
        to.send({ ...sent, options: inTime(options, timeoutMs) }, allRanks);
      const call = new ServiceCall(terms, perform, resolve, reject, this.clock);
      if (replica.hasRoom) replica.accept(call);
      else reject(this.dispatcher.full(call, `replica ${replica.index}`));
    });
  }

  /** Items of an endpoint that yields; the replica is taken as busy until the iteration ends. */
  async *stream(endpoint: string, args: readonly unknown[], options: CallOptions): AsyncGenerator {
    const sent = message(endpoint, args);
    let end: () => void = () => undefined;
    let fail: (error: unknown) => void = () => undefined;
    const ended = new Promise<void>((resolve, reject) => ([end, fail] = [resolve, reject]));
    const items = await new Promise<AsyncIterable<unknown>>((resolve, reject) => {
      this.submit(endpoint, args, options, 'until-started', async (replica, timeoutMs) => {
        resolve(replica.stream({ ...sent, options: inTime(options, timeoutMs) }));
        await ended;
      }).catch(reject);
    });
    try {
      yield* items;
    } catch (error) {
      fail(error);
      throw error;
    } finally {
      end();
    }
  }

  /**
   * Changes the number of replicas; resolves when they have started, or when those that leave have finished.
   *
   * @throws {ForgeError} CONFIG_INVALID for less than one; why a replica did not start (those there were stay).
   */
  scale(numReplicas: number, drainMs: number): Promise<void> {
    if (!(Number.isSafeInteger(numReplicas) && numReplicas >= 1))
      return Promise.reject(invalid('numReplicas', 'an integer of at least 1', numReplicas));
    const change = this.scaling.then(async () => {
      const by = numReplicas - this.replicas.all.length;
      if (by > 0) await this.replicas.grow(by);
      if (by < 0) await this.replicas.shrink(-by, drainMs);
    });
    this.scaling = change.catch(() => undefined);
    return change;
  }

  /** Rejects what is queued, lets what is under way finish, ends all replicas. */
  stop({ drainMs = DRAIN_MS }: StopOptions = {}): Promise<void> {
    this.stopping ??= (async () => {
      this.dispatcher.close();
      await this.scaling;
      try {
        await this.replicas.stop(drainMs);
      } finally {
        this.instruments.end();
        this.owner.release(this);
        this.stopped();
      }
    })();
    return this.stopping;
  }

  private submit(
    endpoint: string,
    args: readonly unknown[],
    options: CallOptions,
    moves: CallTerms['moves'],
    perform: (replica: Replica, timeoutMs: number | undefined) => Promise<unknown>,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const terms = this.terms(endpoint, args, options, moves);
      this.dispatcher.place(new ServiceCall(terms, perform, resolve, reject, this.clock));
    });
  }

  private terms(
    endpoint: string,
    args: readonly unknown[],
    options: CallOptions,
    moves: CallTerms['moves'],
  ): CallTerms {
    const { name, timeoutMs } = this.config;
    const withDeadline = options.timeoutMs === undefined ? { ...options, timeoutMs } : options;
    return { service: name, endpoint, args, options: withDeadline, moves };
  }

  private callFailed(replica: Replica, call: ServiceCall, error: ForgeError, generation: number): boolean {
    if (isLossOfReplica(error)) {
      this.replicas.fail(replica, error, generation);
      if (call.terms.moves !== 'always' || call.attempts >= MAX_ATTEMPTS || call.isCancelled) return false;
      this.dispatcher.place(call);
      return true;
    }
    const isUnexpected = error.code === 'BUG_INVARIANT' || isThrownBy(replica, error);
    if (isUnexpected && this.config.failurePolicy === 'recover')
      this.replicas.fail(replica, error, generation);
    return false;
  }
}

function displaced(call: ServiceCall): ForgeError {
  return new ForgeError(
    'TRANSIENT_REPLICA_LOST',
    `${call.where}: its replica was lost before the call began`,
  );
}

/** A loss that the endpoint itself ran into says so in `thrownBy`. */
function isLossOfReplica(error: ForgeError): boolean {
  return error.is('TRANSIENT_REPLICA_LOST') && error.details.thrownBy === undefined;
}

/** An exception of this actor, not one it has passed on from another it called. */
function isThrownBy(replica: Replica, error: ForgeError): boolean {
  return error.is('BUG_ENDPOINT') && error.details.actor === replica.launched?.name;
}

function inTime(options: CallOptions, timeoutMs: number | undefined): CallOptions {
  return timeoutMs === undefined ? options : { ...options, timeoutMs };
}
