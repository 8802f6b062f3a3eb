import { ForgeError } from '@forge/errors';
import { message, type CallOptions } from '../mesh/actor-ref';
import { inCompletionOrder, single } from '../mesh/completion-order';
import { PartialFailure } from '../mesh/value-mesh';
import type { Replica } from './replica';
import type { ServiceCore } from './service-core';
import { currentSession } from './session';

/** The ways of calling an endpoint of a service that has one result. */
export interface ServiceUnary<P extends unknown[], R> {
  /** The result of one replica: that of the session around the caller, else the one the router picks. */
  choose(...args: P): Promise<R>;
  /**
   * The results of all healthy replicas, in their order; sessions do not matter.
   *
   * @throws {PartialFailure} when some fail, once all have ended; TRANSIENT_SERVICE_UNAVAILABLE when none is up.
   */
  call(...args: P): Promise<R[]>;
  /** The result of the only replica. @throws {ForgeError} CONTRACT_INVALID_CALL when the service has several. */
  callOne(...args: P): Promise<R>;
  /** Sends to all healthy replicas and forgets: no answer, no promise of delivery. */
  broadcast(...args: P): void;
  /** Index and result of every healthy replica as they come. */
  stream(...args: P): AsyncIterable<[replica: number, result: R]>;
  with(options: CallOptions): ServiceUnary<P, R>;
  /** Gives the results of all processes of a replica, by rank, instead of the first one's. */
  readonly allRanks: ServiceUnary<P, R[]>;
}

/** The way of calling an endpoint of a service that yields items. */
export interface ServiceStream<P extends unknown[], T> {
  /** The items of one replica, chosen as `choose` does; ending the loop ends the endpoint. */
  stream(...args: P): AsyncIterable<T>;
  with(options: CallOptions): ServiceStream<P, T>;
}

export type ServiceEndpointOf<M> = M extends (...args: infer P) => AsyncIterable<infer T>
  ? ServiceStream<P, T>
  : M extends (...args: infer P) => infer R
    ? ServiceUnary<P, Awaited<R>>
    : never;

/** @internal */
export class ServiceEndpoint {
  constructor(
    private readonly core: ServiceCore,
    private readonly endpoint: string,
    private readonly options: CallOptions = {},
    private readonly perRank = false,
  ) {}

  with(options: CallOptions): ServiceEndpoint {
    return new ServiceEndpoint(this.core, this.endpoint, { ...this.options, ...options }, this.perRank);
  }

  get allRanks(): ServiceEndpoint {
    return new ServiceEndpoint(this.core, this.endpoint, this.options, true);
  }

  choose(...args: unknown[]): Promise<unknown> {
    return this.core.choose(this.endpoint, args, this.inSession(), this.perRank);
  }

  async call(...args: unknown[]): Promise<unknown[]> {
    const replicas = this.healthy();
    const results = await Promise.allSettled(replicas.map((replica) => this.on(replica, args)));
    return results.map((result) => {
      if (result.status === 'fulfilled') return result.value;
      throw new PartialFailure(
        this.where,
        results,
        replicas.map(({ index }) => index),
      );
    });
  }

  async callOne(...args: unknown[]): Promise<unknown> {
    const { length } = this.core.replicas.all;
    if (length === 1) return this.choose(...args);
    const message = `${this.where}.callOne() needs a service of one replica, this one has ${length}`;
    throw new ForgeError('CONTRACT_INVALID_CALL', message, { replicas: length });
  }

  broadcast(...args: unknown[]): void {
    const sent = message(this.endpoint, args, this.options);
    for (const replica of this.core.replicas.healthy) replica.post(sent);
  }

  stream(...args: unknown[]): AsyncIterable<unknown> {
    if (this.core.endpoints.get(this.endpoint)?.streams === true)
      return this.core.stream(this.endpoint, args, this.inSession());
    return inCompletionOrder(this.healthy().map((replica) => single(this.numbered(replica, args))));
  }

  private async numbered(replica: Replica, args: unknown[]): Promise<[number, unknown]> {
    return [replica.index, await this.on(replica, args)];
  }

  private on(replica: Replica, args: unknown[]): Promise<unknown> {
    return this.core.on(replica, this.endpoint, args, this.options, this.perRank);
  }

  private healthy(): readonly Replica[] {
    return this.core.dispatcher.healthy();
  }

  private inSession(): CallOptions {
    if (this.options.session !== undefined) return this.options;
    const session = currentSession(this.core);
    return session === undefined ? this.options : { ...this.options, session };
  }

  private get where(): string {
    return `${this.core.name}.${this.endpoint}`;
  }
}
