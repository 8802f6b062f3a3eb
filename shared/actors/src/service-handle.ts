import { setTimeout as sleep } from 'node:timers/promises';
import type { Replica } from '@forge/broker';
import { ForgeError, type WireError } from '@forge/errors';
import { Unpackr } from 'msgpackr';
import { Agent, request } from 'undici';
import { encodeWithinLimit } from './message-limit';

export interface CallOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** A service, whichever of its replicas answers. Endpoints are idempotent: a call may be started twice. */
export interface ServiceHandle {
  /**
   * @throws {ForgeError} the error of the endpoint; TRANSIENT_TIMEOUT when no replica answered in time; CANCELLED
   *   when the signal fired.
   */
  call<T>(endpoint: string, argument: unknown, options?: CallOptions): Promise<T>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  registry: { list(service: string): Promise<Replica[]> };
  /** Deadline of calls that name none. */
  timeoutMs: number;
  clock?: () => number;
}

/** How long the list of replicas is believed. */
const FRESH_MS = 250;
/** How often a call looks for a replica while none is up. */
const LOOK_AGAIN_MS = 50;
const unpackr = new Unpackr({ useRecords: false });

/** Calls go to the live replica with the fewest calls under way, and to another one when it is lost. */
export function connectService(service: string, options: ConnectOptions): ServiceHandle {
  const clock = options.clock ?? (() => performance.now());
  const agent = new Agent({ pipelining: 1, keepAliveTimeout: 30_000, headersTimeout: 0, bodyTimeout: 0 });
  const underWay = new Map<string, number>();
  /** Replicas whose connection was lost, with their last heartbeat before that: only a newer one clears them. */
  const lost = new Map<string, number>();
  let replicas: Replica[] = [];
  let listedAt = -Infinity;
  let listing: Promise<void> | null = null;

  function list(): Promise<void> {
    listing ??= options.registry
      .list(service)
      .then((listed) => {
        replicas = listed;
        listedAt = clock();
      })
      .finally(() => {
        listing = null;
      });
    return listing;
  }

  function leastBusy(): Replica | null {
    const load = ({ url }: Replica): number => underWay.get(url) ?? 0;
    const usable = replicas.filter((one) => one.isReady && one.seenAtMs > (lost.get(one.url) ?? -Infinity));
    return usable.reduce<Replica | null>(
      (best, one) => (best === null || load(one) < load(best) ? one : best),
      null,
    );
  }

  /** A registry that does not answer holds no call up as long as a replica is known. */
  async function choose(signal: AbortSignal): Promise<Replica | null> {
    const fresh = clock() - listedAt > FRESH_MS ? list() : Promise.resolve();
    const known = leastBusy();
    if (known === null) await orAborted(fresh, signal);
    else fresh.catch(() => undefined);
    return known ?? leastBusy();
  }

  async function attempt(
    replica: Replica,
    endpoint: string,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { url } = replica;
    underWay.set(url, (underWay.get(url) ?? 0) + 1);
    try {
      const response = await request(`${url}/call/${endpoint}`, {
        method: 'POST',
        headers: { 'content-type': 'application/msgpack' },
        body,
        signal,
        dispatcher: agent,
      });
      const reply: unknown = unpackr.unpack(Buffer.from(await response.body.arrayBuffer()));
      if (response.statusCode === 200) return reply;
      throw ForgeError.fromWire(reply as WireError);
    } finally {
      underWay.set(url, underWay.get(url)! - 1);
    }
  }

  async function call<T>(endpoint: string, argument: unknown, callOptions: CallOptions = {}): Promise<T> {
    const name = `${service}.${endpoint}`;
    const body = encodeWithinLimit(argument, `the argument of ${name}`);
    const timeoutMs = callOptions.timeoutMs ?? options.timeoutMs;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = callOptions.signal ? AbortSignal.any([callOptions.signal, timeout]) : timeout;
    let lastReason = 'no replica is up';
    while (!signal.aborted) {
      const replica = await choose(signal);
      if (replica === null) {
        await orAborted(sleep(LOOK_AGAIN_MS), signal);
        continue;
      }
      try {
        return (await attempt(replica, endpoint, body, signal)) as T;
      } catch (error) {
        if (error instanceof ForgeError) throw error;
        if (signal.aborted) break;
        // The connection was refused or lost: that replica is gone, or goes.
        lastReason = error instanceof Error ? error.message : String(error);
        lost.set(replica.url, replica.seenAtMs);
        listedAt = -Infinity;
      }
    }
    if (callOptions.signal?.aborted) throw new ForgeError('CANCELLED', `the call of ${name} was cancelled`);
    throw new ForgeError(
      'TRANSIENT_TIMEOUT',
      `${name} did not answer within ${timeoutMs} ms: ${lastReason}`,
      {
        service,
        endpoint,
      },
    );
  }

  return { call, close: () => agent.destroy() };
}

/** Settles as `promise` does, or resolves once the signal fires. */
async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    signal.addEventListener('abort', resolve as () => void, { once: true });
    if (signal.aborted) resolve();
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

/**
 * One call for all items asked for in the same turn of the event loop: `endpoint` takes an array of items and gives as
 * many results in the same order.
 */
export function batched<Item, Result>(
  handle: ServiceHandle,
  endpoint: string,
  { maxBatch }: { maxBatch: number },
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];

  async function send(batch: Waiting[]): Promise<void> {
    try {
      const results = await handle.call<Result[]>(
        endpoint,
        batch.map(({ item }) => item),
      );
      if (results.length !== batch.length) {
        throw new ForgeError(
          'SHAPE_MISMATCH',
          `${endpoint}: ${results.length} results for ${batch.length} items`,
          { endpoint },
        );
      }
      batch.forEach(({ resolve }, i) => {
        resolve(results[i]!);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length > 1) return;
      setImmediate(() => {
        const all = waiting;
        waiting = [];
        for (let i = 0; i < all.length; i += maxBatch) void send(all.slice(i, i + maxBatch));
      });
    });
}
