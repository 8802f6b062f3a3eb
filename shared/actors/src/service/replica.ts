import { ForgeError } from '@forge/errors';
import type { ActorRef, Message } from '../mesh/actor-ref';
import { Fifo } from '../runtime/fifo';
import { ReplicaMetrics } from './replica-metrics';
import type { RestartBudget } from './restart-budget';
import type { ServiceCall } from './service-call';
import type { Seat } from './sessions';

/** Parts of a replica that lives. */
export interface LaunchedReplica {
  /** Name of its actors. */
  readonly name: string;
  /** Actors, one per process, by rank. */
  readonly refs: readonly ActorRef[];
  readonly pids: readonly number[];
  /** Calls under way have `drainMs`. */
  stop(drainMs: number): Promise<void>;
}

export type ReplicaState = 'UNINITIALIZED' | 'HEALTHY' | 'RECOVERING' | 'UNHEALTHY' | 'STOPPED';

export interface ReplicaLimits {
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

/** Listener to the ends of a replica's calls. */
export interface ReplicaObserver {
  /** A call failed and its caller does not know yet; true: it was placed anew, and the caller waits on. */
  callFailed(replica: Replica, call: ServiceCall, error: ForgeError, generation: number): boolean;
  callEnded(replica: Replica, call: ServiceCall, latencyMs: number, error: ForgeError | null): void;
}

/** One unit of a service: its processes, the calls they work on, and the calls that wait for them. */
export class Replica implements Seat {
  state: ReplicaState = 'UNINITIALIZED';
  /** Number of starts. */
  generation = 0;
  /** Number of sessions bound to the replica. */
  sessions = 0;
  /** Reason why the replica is not healthy. */
  reason: ForgeError | null = null;
  launched: LaunchedReplica | null = null;
  readonly metrics: ReplicaMetrics;
  private readonly queue = new Fifo<ServiceCall>();
  private running = 0;

  constructor(
    readonly index: number,
    readonly limits: ReplicaLimits,
    readonly budget: RestartBudget,
    private readonly clock: () => number,
    private readonly observer: ReplicaObserver,
  ) {
    this.metrics = new ReplicaMetrics(clock);
  }

  get isHealthy(): boolean {
    return this.state === 'HEALTHY';
  }

  get active(): number {
    return this.running;
  }

  get queued(): number {
    return this.queue.size;
  }

  get load(): number {
    return this.running + this.queue.size;
  }

  get hasRoom(): boolean {
    return this.running < this.limits.maxConcurrent || this.queue.size < this.limits.maxQueued;
  }

  /** Starts a call, or queues it behind others; there is room. */
  accept(call: ServiceCall): void {
    const now = this.clock();
    call.acceptedAt = now;
    this.metrics.accepted(now);
    if (this.running < this.limits.maxConcurrent) this.start(call);
    else {
      this.queue.add(call);
      call.waitsIn(
        this.queue,
        () => call.timedOut(),
        () => this.metrics.failed++,
      );
    }
  }

  /** A new start; calls of an earlier one no longer count. */
  launch(launched: LaunchedReplica): void {
    this.launched = launched;
    this.generation++;
    this.running = 0;
    this.reason = null;
    this.state = 'HEALTHY';
    this.budget.healthy(this.clock());
  }

  /** The calls that wait for it, taken away to be placed elsewhere. */
  takeQueued(): ServiceCall[] {
    const calls = this.queue.drain();
    this.metrics.total -= calls.length;
    return calls;
  }

  /** Sends to all processes; the result of the first, or with `allRanks` of each. Fails with the first that fails. */
  async send(sent: Message, allRanks: boolean): Promise<unknown> {
    const refs = this.refs();
    if (refs.length === 1 && !allRanks) return refs[0]!.call(sent);
    const results = await Promise.all(refs.map((ref) => ref.call(sent)));
    return allRanks ? results : results[0];
  }

  /** The items of its first process; the others run the same endpoint, and what they yield is dropped. */
  stream(sent: Message): AsyncIterable<unknown> {
    const [first, ...others] = this.refs();
    for (const other of others) void exhaust(other.stream(sent));
    return first!.stream(sent);
  }

  post(sent: Message): void {
    for (const ref of this.refs()) ref.post(sent);
  }

  private refs(): readonly ActorRef[] {
    if (this.launched !== null) return this.launched.refs;
    throw new ForgeError('TRANSIENT_REPLICA_LOST', `replica ${this.index} is not running`);
  }

  private start(call: ServiceCall): void {
    this.running++;
    const { generation } = this;
    const { acceptedAt } = call;
    call.leavesQueue();
    call.run(this).then(
      (result) => {
        this.end(call, generation, acceptedAt, null);
        call.resolve(result);
      },
      (thrown: unknown) => {
        const error = ForgeError.from(thrown);
        const goesOn = this.observer.callFailed(this, call, error, generation);
        this.end(call, generation, acceptedAt, error);
        if (!goesOn) call.reject(error);
      },
    );
  }

  private end(call: ServiceCall, generation: number, acceptedAt: number, error: ForgeError | null): void {
    const latencyMs = this.clock() - acceptedAt;
    this.metrics.ended(latencyMs, error === null);
    this.observer.callEnded(this, call, latencyMs, error);
    if (generation !== this.generation) return;
    this.running--;
    while (this.isHealthy && this.running < this.limits.maxConcurrent) {
      const next = this.queue.take();
      if (next === undefined) return;
      this.start(next);
    }
  }
}

async function exhaust(items: AsyncIterable<unknown>): Promise<void> {
  try {
    const iterator = items[Symbol.asyncIterator]();
    while ((await iterator.next()).done !== true);
  } catch {
    // The failure of one process is that of the replica, which its first process or its loss shows.
  }
}
