import { setTimeout as sleep } from 'node:timers/promises';
import type { Replica } from '@forge/broker';
import { encode } from '@forge/contracts';
import { ForgeError, type WireError } from '@forge/errors';
import { Unpackr } from 'msgpackr';
import { Agent, request } from 'undici';

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
const RETRY_PAUSE_MS = 50;
const unpackr = new Unpackr({ useRecords: false });

/** Calls go to the live replica with the fewest calls under way, and to another one when it is lost. */
export function connectService(service: string, options: ConnectOptions): ServiceHandle {
  const clock = options.clock ?? (() => performance.now());
  const agent = new Agent({ pipelining: 1, keepAliveTimeout: 30_000, headersTimeout: 0, bodyTimeout: 0 });
  const underWay = new Map<string, number>();
  let replicas: Replica[] = [];
  let listedAt = -Infinity;

  async function choose(): Promise<Replica | null> {
    if (clock() - listedAt > FRESH_MS) {
      listedAt = clock();
      replicas = (await options.registry.list(service)).filter(({ isReady }) => isReady);
    }
    const load = ({ url }: Replica): number => underWay.get(url) ?? 0;
    return replicas.reduce<Replica | null>((best, one) => (best === null || load(one) < load(best) ? one : best), null);
  }

  async function attempt(replica: Replica, endpoint: string, body: Buffer, signal: AbortSignal): Promise<unknown> {
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
      underWay.set(url, (underWay.get(url) ?? 1) - 1);
    }
  }

  async function call<T>(endpoint: string, argument: unknown, callOptions: CallOptions = {}): Promise<T> {
    const timeoutMs = callOptions.timeoutMs ?? options.timeoutMs;
    const deadline = clock() + timeoutMs;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = callOptions.signal ? AbortSignal.any([callOptions.signal, timeout]) : timeout;
    const body = encode(argument);
    let lastReason = 'no replica is up';
    while (clock() < deadline && !signal.aborted) {
      const replica = await choose();
      if (replica !== null) {
        try {
          return (await attempt(replica, endpoint, body, signal)) as T;
        } catch (error) {
          if (error instanceof ForgeError) throw error;
          // The connection was refused or lost: that replica is gone, or goes.
          lastReason = error instanceof Error ? error.message : String(error);
          replicas = replicas.filter((one) => one !== replica);
          listedAt = -Infinity;
        }
      }
      if (!signal.aborted) await sleep(RETRY_PAUSE_MS);
    }
    if (callOptions.signal?.aborted) throw new ForgeError('CANCELLED', `the call of ${service}.${endpoint} was cancelled`);
    throw new ForgeError('TRANSIENT_TIMEOUT', `${service}.${endpoint} did not answer within ${timeoutMs} ms: ${lastReason}`, {
      service,
      endpoint,
    });
  }

  return { call, close: () => agent.destroy() };
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
      const results = await handle.call<Result[]>(endpoint, batch.map(({ item }) => item));
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
