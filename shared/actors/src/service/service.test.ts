import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { waitFor } from '@forge/testing';
import { rootOwner, setUnhandledFaultHook, type Failure } from '../actor/supervision';
import { Counter } from '../counter.fixture';
import { inProcessHost } from '../hosts/host';
import { PartialFailure } from '../mesh/value-mesh';
import type { Service } from './service';
import type { ServiceOptions } from './service-options';
import { listServices, shutdownService, spawnService } from './spawn-service';

afterEach(() => rootOwner.stopOwned());

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const heapMegabytes = (): number => {
  collectGarbage();
  return process.memoryUsage().heapUsed / 1e6;
};

const local = (options: ServiceOptions = {}): ServiceOptions => ({ hosts: [inProcessHost()], ...options });
const counters = (numReplicas: number, start = 0, options: ServiceOptions = {}): Promise<Service<Counter>> =>
  spawnService(local({ numReplicas, ...options }), Counter, start);
const healthy = (service: Service<Counter>, n: number): Promise<unknown> =>
  waitFor(`${n} healthy replicas`, () => service.metrics().service.healthyReplicas === n);
const states = (service: Service<Counter>): string[] => service.replicas().map(({ state }) => state);

describe('a service (the facts of torchforge)', () => {
  it('keeps its options and has one replica by default', async () => {
    const plain = await spawnService(local(), Counter, 30);
    expect([plain.config.numReplicas, plain.config.procsPerReplica]).toEqual([1, 1]);
    expect(await plain.value.choose()).toBe(30);
  });

  it('keeps several services apart', async () => {
    const [two, four] = [await counters(2, 30), await counters(4, 20)];
    expect([two.config.numReplicas, four.config.numReplicas]).toEqual([2, 4]);
    expect(two.config).not.toBe(four.config);
    expect([await two.value.choose(), await four.value.choose()]).toEqual([30, 20]);
  });

  it('has sessions by id', async () => {
    const service = await counters(1);
    const [one, other] = [service.startSession(), service.startSession()];
    expect(one).not.toBe(other);
    expect(service.sessions().get(one)).toBeNull();
    await service.increment.with({ session: one }).choose();
    expect(await service.value.with({ session: one }).choose()).toBe(1);
    expect(service.sessions().get(one)).toBe(0);
    service.endSession(one);
    service.endSession(other);
    expect(service.sessions().size).toBe(0);
  });

  it('takes calls without a session', async () => {
    const service = await counters(2);
    await service.increment.choose();
    await service.increment.choose();
    await service.value.choose();
    const { totalRequests, totalSessions } = service.metrics().service;
    expect([totalRequests, totalSessions, service.sessions().size]).toEqual([3, 0, 0]);
    // Calls went to 1, 0, 1; this one goes to 0.
    expect(await service.add.choose(5, 2)).toBe(11);
  });

  it('keeps to one replica in a session, and ends it', async () => {
    const service = await counters(2);
    async function twice(): Promise<number> {
      await using session = service.session();
      await service.increment.choose();
      await service.increment.choose();
      expect(service.sessions().get(session.id)).toBe(session.replica);
      return service.value.choose();
    }
    expect(await twice()).toBe(2);
    async function work(count: number): Promise<number> {
      await using session = service.session();
      const before = await service.value.choose();
      expect(session.replica).not.toBeNull();
      for (let i = 0; i < count; i++) await service.increment.choose();
      return (await service.value.choose()) - before;
    }
    expect(await Promise.all([work(2), work(3)])).toEqual([2, 3]);
    expect(service.metrics().service.totalSessions).toBe(0);
    expect(service.sessions().size).toBe(0);
  });

  it('recovers a replica after an unexpected exception', async () => {
    const service = await counters(1);
    expect(states(service)).toEqual(['HEALTHY']);
    await expect(service.fail.choose()).rejects.toMatchObject({
      code: 'BUG_ENDPOINT',
      message: 'I was asked to fail',
      details: { name: 'TypeError', stack: expect.stringContaining('counter.fixture') as string },
    });
    expect(states(service)).toEqual(['RECOVERING']);
    await service.increment.choose();
    expect(await service.value.choose()).toBe(1);
    expect(states(service)).toEqual(['HEALTHY']);
  });

  it('moves a session away from a failed replica', async () => {
    const service = await counters(2);
    const moves: unknown[] = [];
    service.on('session-moved', (move) => moves.push(move));
    const session = service.startSession();
    await service.increment.with({ session }).choose();
    const first = service.sessions().get(session)!;
    await expect(service.fail.with({ session }).choose()).rejects.toThrow();
    expect(states(service)[first]).toBe('RECOVERING');
    await service.increment.with({ session }).choose();
    const second = service.sessions().get(session)!;
    expect(second).toBe(1 - first);
    const fresh = service.startSession();
    await service.increment.with({ session: fresh }).choose();
    expect(states(service)[service.sessions().get(fresh)!]).toBe('HEALTHY');
    expect(moves).toEqual([{ session, from: first, to: second }]);
    expect(service.metrics().service.sessionMoves).toBe(1);
  });

  it('counts requests and failures', async () => {
    const service = await counters(2);
    const [a, b] = [service.startSession(), service.startSession()];
    await service.increment.with({ session: a }).choose();
    await service.increment.with({ session: a }).choose();
    await service.increment.with({ session: b }).choose();
    await expect(service.fail.with({ session: a }).choose()).rejects.toThrow();
    const { service: all, replicas } = service.metrics();
    expect([all.totalSessions, all.totalReplicas, all.healthyReplicas]).toEqual([2, 2, 1]);
    const sum = (key: 'totalRequests' | 'failedRequests' | 'successfulRequests'): number =>
      replicas.reduce((total, replica) => total + replica[key], 0);
    expect([sum('totalRequests'), sum('failedRequests'), sum('successfulRequests')]).toEqual([4, 1, 3]);
  });

  it('sticks to a replica', async () => {
    const service = await counters(2);
    const session = service.startSession();
    const seen = new Set<number | null | undefined>();
    for (let i = 0; i < 4; i++) {
      await service.increment.with({ session }).choose();
      seen.add(service.sessions().get(session));
    }
    expect(seen.size).toBe(1);
    expect(await service.value.with({ session }).choose()).toBe(4);
  });

  it('spreads sessions', async () => {
    const service = await counters(2);
    const ids = Array.from({ length: 4 }, () => service.startSession());
    for (const session of ids) await service.increment.with({ session }).choose();
    expect([...service.sessions().values()]).toEqual([0, 1, 0, 1]);
    expect(service.metrics().service.totalRequests).toBe(4);
  });

  it('takes calls at the same time', async () => {
    const service = await counters(2);
    const session = service.startSession();
    const sticky = service.increment.with({ session });
    await Promise.all([
      sticky.choose(),
      sticky.choose(),
      service.increment.choose(),
      service.increment.choose(),
    ]);
    expect([...service.sessions().keys()]).toEqual([session]);
    expect(service.metrics().service.totalRequests).toBe(4);
  });

  it('calls all replicas', async () => {
    const service = await counters(3, 10);
    expect(await service.increment.call()).toEqual([undefined, undefined, undefined]);
    expect(await service.value.call()).toEqual([11, 11, 11]);
  });

  it('calls those that are healthy', async () => {
    const service = await counters(3, 0, { restarts: { backoffMs: 60_000, maxBackoffMs: 60_000 } });
    const session = service.startSession();
    await expect(service.fail.with({ session }).choose()).rejects.toThrow();
    const called = service.increment.call();
    expect(await called).toHaveLength(2);
  });

  it('routes to one and fans out to all', async () => {
    const service = await counters(3);
    await service.increment.call();
    expect(await service.value.call()).toEqual([1, 1, 1]);
    await service.increment.choose();
    expect((await service.value.call()).sort()).toEqual([1, 1, 2]);
    expect(service.metrics().service.totalRequests).toBe(10);
  });

  it('takes turns', async () => {
    const service = await counters(3);
    for (let i = 0; i < 6; i++) await service.increment.choose();
    expect(await service.value.call()).toEqual([2, 2, 2]);
  });

  it('accepts a session id it has never seen', async () => {
    const service = await counters(2);
    const before = await service.value.call();
    await service.increment.with({ session: 'sess1' }).choose();
    const after = await service.value.call();
    const changed = after.flatMap((value, index) => (value === before[index] ? [] : [index]));
    expect(changed).toEqual([service.sessions().get('sess1')]);
  });
});

describe('a service', () => {
  it('tells of a failure of some with the results of the others', async () => {
    const service = await counters(2);
    await service.add.with({ session: 's' }).choose(5);
    const error = (await service.fail.call().catch((thrown: unknown) => thrown)) as PartialFailure;
    expect(error).toBeInstanceOf(PartialFailure);
    expect([error.code, error.failedRanks]).toEqual(['BUG_ENDPOINT', [0, 1]]);
  });

  it('is not hurt by an error of ours or by a wrong call', async () => {
    const service = await counters(1);
    await expect(service.refuse.choose()).rejects.toMatchObject({
      code: 'CAPACITY_EXCEEDED',
      details: { limit: 1 },
    });
    const untyped = service as unknown as Record<string, { choose(...args: unknown[]): Promise<unknown> }>;
    await expect(untyped.reset!.choose()).rejects.toMatchObject({ code: 'CONTRACT_UNKNOWN_ENDPOINT' });
    await expect(untyped.add!.choose()).rejects.toMatchObject({ code: 'CONTRACT_INVALID_CALL' });
    await expect(untyped.value!.choose(1)).rejects.toMatchObject({ code: 'CONTRACT_INVALID_CALL' });
    await expect(untyped.items!.choose(1)).rejects.toMatchObject({ code: 'CONTRACT_INVALID_CALL' });
    await service.increment.choose();
    expect([await service.value.choose(), service.metrics().service.restarts]).toEqual([1, 0]);
  });

  it('keeps a replica after an exception when asked to', async () => {
    const service = await counters(1, 7, { failurePolicy: 'keep' });
    await expect(service.fail.choose()).rejects.toThrow('I was asked to fail');
    expect([states(service), await service.value.choose()]).toEqual([['HEALTHY'], 7]);
  });

  it('streams items of one replica, and results of all', async () => {
    const service = await counters(2, 4);
    const items: number[] = [];
    for await (const item of service.items.stream(3)) items.push(item);
    expect(items).toEqual([0, 1, 2]);
    const results: [number, number][] = [];
    for await (const result of service.value.stream()) results.push(result);
    expect(results.sort()).toEqual([
      [0, 4],
      [1, 4],
    ]);
    expect(service.metrics().service.activeRequests).toBe(0);
  });

  it('broadcasts, and recovers from an exception nobody waits for', async () => {
    const service = await counters(2);
    service.increment.broadcast();
    expect(await service.value.call()).toEqual([1, 1]);
    service.fail.broadcast();
    await waitFor('two restarts', () => service.metrics().service.restarts === 2);
    await healthy(service, 2);
  });

  it('gives a replica up after its restarts, goes on with the others, and says why when none is left', async () => {
    const faults: Failure[] = [];
    setUnhandledFaultHook((failure) => faults.push(failure));
    const service = await counters(2, 0, { restarts: { maxRestarts: 1, stableMs: 60_000 } });
    const givenUp: number[] = [];
    service.on('replica-given-up', ({ replica }) => givenUp.push(replica));
    service.fail.broadcast();
    await waitFor('the restarts', () => service.metrics().service.restarts === 2);
    await healthy(service, 2);
    await expect(service.fail.choose()).rejects.toThrow('I was asked to fail');
    await waitFor('the first to be given up', () => givenUp.length === 1);
    expect([states(service).sort(), await service.value.call()]).toEqual([['HEALTHY', 'UNHEALTHY'], [0]]);
    expect(faults).toEqual([]);
    await expect(service.fail.choose()).rejects.toThrow('I was asked to fail');
    await expect(service.value.choose()).rejects.toMatchObject({
      code: 'TRANSIENT_SERVICE_UNAVAILABLE',
      message: `service ${service.name}: every replica was given up: I was asked to fail`,
    });
    expect(service.replicas().map(({ reason }) => reason)).toEqual(
      Array(2).fill('BUG_ENDPOINT: I was asked to fail'),
    );
    await waitFor('the fault', () => faults.length === 1);
    expect(faults[0]).toMatchObject({ name: service.name, error: { message: 'I was asked to fail' } });
    setUnhandledFaultHook(null);
  });

  it('tells listeners of calls and recoveries', async () => {
    const service = await counters(1);
    const heard: unknown[] = [];
    service.on('call-ended', ({ endpoint, replica, error }) =>
      heard.push([endpoint, replica, error?.code ?? null]),
    );
    service.on('replica-failed', ({ replica }) => heard.push(['failed', replica]));
    service.on('replica-recovered', ({ replica, restarts }) => heard.push(['recovered', replica, restarts]));
    await service.value.choose();
    await expect(service.fail.choose()).rejects.toThrow();
    await service.value.choose();
    await new Promise(setImmediate);
    expect(heard).toEqual([
      ['value', 0, null],
      ['failed', 0],
      ['fail', 0, 'BUG_ENDPOINT'],
      ['recovered', 0, 1],
      ['value', 0, null],
    ]);
  });

  it('bounds what is queued', async () => {
    const service = await counters(1, 0, { maxConcurrent: 1, maxQueued: 2 });
    const stop = new AbortController();
    const calls = [1, 2, 3].map(() => service.wait.with({ signal: stop.signal }).choose());
    await expect(service.value.choose()).rejects.toMatchObject({ code: 'CAPACITY_QUEUE_FULL' });
    const { activeRequests, queueDepth, utilization } = service.metrics().service;
    expect([activeRequests, queueDepth, utilization]).toEqual([1, 2, 1]);
    stop.abort();
    for (const result of await Promise.allSettled(calls))
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } });
    expect(await service.value.choose()).toBe(0);
  });

  it('gives up queued calls at their deadline', async () => {
    const service = await counters(1, 0, { maxConcurrent: 1 });
    const stop = new AbortController();
    const first = service.wait.with({ signal: stop.signal }).choose();
    await expect(service.value.with({ timeoutMs: 20 }).choose()).rejects.toMatchObject({
      code: 'TRANSIENT_TIMEOUT',
    });
    stop.abort();
    await expect(first).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(service.wait.with({ timeoutMs: 20 }).choose()).rejects.toMatchObject({
      code: 'TRANSIENT_TIMEOUT',
    });
  });

  it('fails a session that is not to move', async () => {
    const service = await counters(2);
    const session = service.startSession({ onLost: 'reject' });
    await expect(service.fail.with({ session }).choose()).rejects.toThrow();
    const calls = [1, 2].map(() => service.value.with({ session }).choose());
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'TRANSIENT_SESSION_LOST' });
  });

  it('keeps a session of a function to that function', async () => {
    const service = await counters(2);
    let id = '';
    const inside = service.withSession(async (session) => {
      id = session.id;
      await service.value.choose();
      await service.value.choose();
      return service.metrics().replicas.map(({ totalRequests }) => totalRequests);
    });
    expect(await inside).toEqual([2, 0]);
    expect(service.sessions().has(id)).toBe(false);
    await service.value.choose();
    await service.value.choose();
    expect(service.metrics().replicas.map(({ totalRequests }) => totalRequests)).toEqual([3, 1]);
  });

  it('keeps a session in code that starts inside it, and sessions inside sessions apart', async () => {
    const [a, b] = [await counters(3), await counters(3)];
    const later = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      await a.increment.choose();
    };
    let endOfSession: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (endOfSession = resolve));
    let afterwards: Promise<void> | null = null;
    const inside = async (): Promise<number[]> => {
      await using session = a.session();
      await using other = b.session();
      await Promise.all([later(), later(), b.increment.choose(), b.increment.choose()]);
      const outer = await a.value.choose();
      const inner = await a.withSession(async ({ id }) => {
        await a.value.choose();
        return a.sessions().get(id) === session.replica ? 0 : 1;
      });
      afterwards = ended.then(later);
      return [outer, await b.value.choose(), inner, await a.value.choose(), other.moves];
    };
    expect(await inside()).toEqual([2, 2, 1, 2, 0]);
    endOfSession();
    await afterwards;
    expect([a.sessions().size, b.sessions().size]).toEqual([0, 0]);
    expect((await a.value.call()).reduce((sum, value) => sum + value)).toBe(3);
  });

  it('holds 64 replicas and 10,000 sessions, and no more memory after many calls and sessions than before', async () => {
    const service = await counters(64);
    const callMany = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i += 500)
        await Promise.all(Array.from({ length: 500 }, () => service.value.choose()));
    };
    const ids = Array.from({ length: 10_000 }, () => service.startSession());
    await Promise.all(ids.map((session) => service.increment.with({ session }).choose()));
    const perReplica = service.metrics().replicas.map(({ sessions }) => sessions);
    expect([Math.min(...perReplica), Math.max(...perReplica)]).toEqual([156, 157]);
    for (const id of ids) service.endSession(id);
    await callMany(10_000);
    const before = heapMegabytes();
    await callMany(40_000);
    for (let i = 0; i < 5_000; i++) {
      await using session = service.session();
      await service.value.choose();
      expect(session.replica).not.toBeNull();
    }
    expect(heapMegabytes() - before).toBeLessThan(2);
  });

  it('scales up and down while it runs', async () => {
    const service = await counters(1, 3);
    await service.scale(3);
    expect(await service.value.call()).toEqual([3, 3, 3]);
    const session = service.startSession();
    const stop = new AbortController();
    const calls = [1, 2, 3].map(() => service.wait.with({ signal: stop.signal }).choose());
    const shrunk = service.scale(1, { drainMs: 60_000 });
    await waitFor('the end of traffic to two', () => states(service).length === 1);
    stop.abort();
    await Promise.allSettled(calls);
    await shrunk;
    expect(await service.value.with({ session }).choose()).toBe(3);
    await expect(service.scale(0)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('refuses a name that is taken, no replicas, and a router that picks nothing', async () => {
    const service = await counters(1, 0, { name: 'counter' });
    expect([...listServices().keys()]).toEqual(['counter']);
    await expect(counters(1, 0, { name: 'counter' })).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
    await expect(counters(0)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { option: 'numReplicas' },
    });
    await shutdownService(service);
    expect(listServices().size).toBe(0);
    await expect(service.value.choose()).rejects.toMatchObject({ code: 'TRANSIENT_SERVICE_UNAVAILABLE' });
    const lost = await counters(2, 0, { name: 'counter', router: () => undefined as never });
    await expect(lost.value.choose()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('gives the results of all ranks on demand', async () => {
    const service = await counters(2, 1, { procsPerReplica: 3 });
    expect(await service.add.choose(2)).toBe(3);
    expect(await service.add.allRanks.call(1)).toEqual([
      [2, 2, 2],
      [4, 4, 4],
    ]);
  });
});
