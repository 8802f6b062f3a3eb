import { ForgeError } from '@forge/errors';
import type { Extent } from '../actor/extent';
import type { ActorGroup } from './actor-group';
import { message, type CallOptions } from './actor-ref';
import { inCompletionOrder, single } from './completion-order';
import { PartialFailure, ValueMesh } from './value-mesh';

/** The ways of calling an endpoint that has one result. */
export interface MeshUnary<P extends unknown[], R> {
  /**
   * The result of the only member.
   *
   * @throws {ForgeError} CONTRACT_INVALID_CALL unless the mesh has one member; what the endpoint threw.
   */
  callOne(...args: P): Promise<R>;
  /** The result of one member; every one has its turn. */
  choose(...args: P): Promise<R>;
  /** The results of all members. @throws {PartialFailure} when some fail, once all have ended. */
  call(...args: P): Promise<ValueMesh<R>>;
  /** Sends to all and forgets: no answer, no promise of delivery. An exception goes to supervision. */
  broadcast(...args: P): void;
  /** Rank and result of every member as they come. */
  stream(...args: P): AsyncIterable<[rank: number, result: R]>;
  with(options: Omit<CallOptions, 'session'>): MeshUnary<P, R>;
}

/** The way of calling an endpoint that yields items. */
export interface MeshStream<P extends unknown[], T> {
  /** Rank and item, as the members yield them; ending the loop ends the endpoints. */
  stream(...args: P): AsyncIterable<[rank: number, item: T]>;
  with(options: Omit<CallOptions, 'session'>): MeshStream<P, T>;
}

export type MeshEndpointOf<M> = M extends (...args: infer P) => AsyncIterable<infer T>
  ? MeshStream<P, T>
  : M extends (...args: infer P) => infer R
    ? MeshUnary<P, Awaited<R>>
    : never;

/** @internal */
export class MeshEndpoint implements MeshUnary<unknown[], unknown> {
  private readonly ranks: readonly number[];

  constructor(
    private readonly group: ActorGroup,
    private readonly extent: Extent,
    private readonly endpoint: string,
    private readonly options: CallOptions = {},
  ) {
    this.ranks = extent.ranks();
  }

  with(options: CallOptions): MeshEndpoint {
    return new MeshEndpoint(this.group, this.extent, this.endpoint, { ...this.options, ...options });
  }

  async callOne(...args: unknown[]): Promise<unknown> {
    const [only, ...others] = this.ranks;
    if (only !== undefined && others.length === 0) return this.group.ref(only).call(this.message(args));
    const message = `${this.where}.callOne() needs a mesh of one, this one has ${this.extent.describe()}`;
    throw new ForgeError('CONTRACT_INVALID_CALL', message, { mesh: this.extent.dimensions });
  }

  choose(...args: unknown[]): Promise<unknown> {
    return this.group.choose(this.ranks).call(this.message(args));
  }

  async call(...args: unknown[]): Promise<ValueMesh<unknown>> {
    const sent = this.message(args);
    const results = await Promise.allSettled(this.ranks.map((rank) => this.group.ref(rank).call(sent)));
    const values = results.map((result) => {
      if (result.status === 'fulfilled') return result.value;
      throw new PartialFailure(this.where, results, this.ranks);
    });
    return new ValueMesh(this.extent, values);
  }

  broadcast(...args: unknown[]): void {
    const sent = this.message(args);
    for (const rank of this.ranks) this.group.ref(rank).post(sent);
  }

  stream(...args: unknown[]): AsyncIterable<[number, unknown]> {
    const sent = this.message(args);
    const yields = this.group.endpoints.get(this.endpoint)?.streams === true;
    const sources = this.ranks.map((rank) => {
      const ref = this.group.ref(rank);
      return withRank(rank, yields ? ref.stream(sent) : single(ref.call(sent)));
    });
    return inCompletionOrder(sources);
  }

  private get where(): string {
    return `${this.group.name}.${this.endpoint}`;
  }

  private message(args: unknown[]): ReturnType<typeof message> {
    return message(this.endpoint, args, this.options);
  }
}

async function* withRank<T>(rank: number, items: AsyncIterable<T>): AsyncGenerator<[number, T]> {
  for await (const item of items) yield [rank, item];
}
