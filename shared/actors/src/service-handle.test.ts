import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Replica } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import { fastify, type FastifyInstance } from 'fastify';
import { MAX_BODY_BYTES } from './message-limit';
import { serveEndpoints, type Endpoints } from './serve-endpoints';
import { batched, connectService, type ServiceHandle } from './service-handle';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve(endpoints: Endpoints): Promise<{ url: string; http: FastifyInstance }> {
  const http = fastify();
  serveEndpoints(http, endpoints);
  const url = await http.listen({ host: '127.0.0.1', port: 0 });
  closing.push(() => http.close());
  return { url, http };
}

const replica = (url: string, seenAtMs = 0): Replica => ({
  service: 's',
  replica: url,
  url,
  pid: 1,
  isReady: true,
  seenAtMs,
});

function connect(list: () => Promise<Replica[]>, timeoutMs = 10_000): ServiceHandle {
  const handle = connectService('s', { registry: { list }, timeoutMs });
  closing.push(() => handle.close());
  return handle;
}

describe('connectService', () => {
  it('carries arguments, results and binary exactly', async () => {
    const { url } = await serve({ echo: (argument) => Promise.resolve(argument) });
    const handle = connect(() => Promise.resolve([replica(url)]));
    const argument = { text: 'é', list: [1, -2.5, null], bytes: Buffer.from([0, 255, 128]) };
    expect(await handle.call('echo', argument)).toEqual(argument);
  });

  it('rejects with the error of the endpoint', async () => {
    const { url } = await serve({
      fail: () => Promise.reject(new ForgeError('CAPACITY_PROMPT_TOO_LONG', 'too long', { tokens: 9 })),
    });
    const handle = connect(() => Promise.resolve([replica(url)]));
    await expect(handle.call('fail', null)).rejects.toMatchObject({
      code: 'CAPACITY_PROMPT_TOO_LONG',
      message: 'too long',
      details: { tokens: 9 },
    });
    await expect(handle.call('constructor', null)).rejects.toMatchObject({
      code: 'CONTRACT_UNKNOWN_ENDPOINT',
    });
  });

  it('prefers the replica with the fewest calls under way', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const first = await serve({ work: () => held.then(() => 'first') });
    const second = await serve({ work: () => Promise.resolve('second') });
    const handle = connect(() => Promise.resolve([replica(first.url), replica(second.url)]));
    const blocked = handle.call('work', null);
    await new Promise(setImmediate);
    expect(await handle.call('work', null)).toBe('second');
    expect(await handle.call('work', null)).toBe('second');
    release();
    expect(await blocked).toBe('first');
  });

  it('waits while no replica is up', async () => {
    const { url } = await serve({ ping: () => Promise.resolve('pong') });
    let asked = 0;
    const handle = connect(() => Promise.resolve(++asked > 2 ? [replica(url)] : []));
    expect(await handle.call('ping', null)).toBe('pong');
    expect(asked).toBe(3);
  });

  it('gives up at the deadline, also when the registry does not answer', async () => {
    const none = connect(() => Promise.resolve([]), 80);
    await expect(none.call('ping', null)).rejects.toMatchObject({
      code: 'TRANSIENT_TIMEOUT',
      message: /no replica is up/,
    });
    const silent = connect(() => new Promise(() => undefined), 80);
    await expect(silent.call('ping', null)).rejects.toMatchObject({ code: 'TRANSIENT_TIMEOUT' });
  });

  it('uses the replicas it knows while the registry does not answer', async () => {
    const { url } = await serve({ ping: () => Promise.resolve('pong') });
    let now = 0;
    let asked = 0;
    const list = () =>
      asked++ === 0 ? Promise.resolve([replica(url)]) : new Promise<Replica[]>(() => undefined);
    const handle = connectService('s', { registry: { list }, timeoutMs: 10_000, clock: () => now });
    closing.push(() => handle.close());
    await handle.call('ping', null);
    now = 60_000;
    expect(await handle.call('ping', null)).toBe('pong');
    expect(asked).toBe(2);
  });

  it('is cancelled by its signal', async () => {
    const { url } = await serve({ slow: () => new Promise(() => undefined) });
    const handle = connect(() => Promise.resolve([replica(url)]));
    const controller = new AbortController();
    const call = handle.call('slow', null, { signal: controller.signal });
    setImmediate(() => {
      controller.abort();
    });
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    // fastify waits for the open request otherwise.
    await handle.close();
  });

  it('refuses what is larger than a call may carry, either way', async () => {
    const { url } = await serve({ big: () => Promise.resolve(Buffer.alloc(MAX_BODY_BYTES)) });
    const handle = connect(() => Promise.resolve([replica(url)]));
    await expect(handle.call('big', Buffer.alloc(MAX_BODY_BYTES))).rejects.toMatchObject({
      code: 'CAPACITY_EXCEEDED',
      message: /argument of s.big/,
    });
    await expect(handle.call('big', null)).rejects.toMatchObject({
      code: 'CAPACITY_EXCEEDED',
      message: /result of big/,
    });
  });
});

describe('connectService with replicas in processes of their own', () => {
  const script = join(__dirname, '../dist/replica.fixture.js');

  async function start(): Promise<{ child: ChildProcess; url: string }> {
    const child = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    closing.push(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    const [url] = (await once(child, 'message')) as [string];
    return { child, url };
  }

  it('retries on another replica when one is killed, although it is still registered', async () => {
    const doomed = await start();
    const other = await serve({ slow: () => Promise.resolve('other') });
    const handle = connect(() => Promise.resolve([replica(doomed.url), replica(other.url)]));
    const call = handle.call('slow', null);
    await once(doomed.child, 'message');
    doomed.child.kill('SIGKILL');
    expect(await call).toBe('other');
    // The heartbeat of the dead one is no newer than when it was lost: nobody goes there.
    expect(await handle.call('slow', null)).toBe('other');
  });

  it('comes back to a replica that has been seen since', async () => {
    const { child, url } = await start();
    let seenAtMs = 0;
    const handle = connect(() => Promise.resolve([replica(`${url}`, seenAtMs)]));
    expect(await handle.call('pid', null)).toBe(child.pid);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const again = fastify();
    serveEndpoints(again, { pid: () => Promise.resolve('again') });
    const call = handle.call('pid', null);
    await again.listen({ host: '127.0.0.1', port: Number(new URL(url).port) });
    closing.push(() => again.close());
    seenAtMs = 1;
    expect(await call).toBe('again');
  });
});

describe('batched', () => {
  const handleOf = (call: (items: number[]) => Promise<unknown>): ServiceHandle => ({
    call: <T>(_endpoint: string, items: unknown) => call(items as number[]) as Promise<T>,
    close: () => Promise.resolve(),
  });

  it('makes one call of all items of a turn, up to maxBatch', async () => {
    const calls: number[][] = [];
    const double = batched<number, number>(
      handleOf((items) => {
        calls.push(items);
        return Promise.resolve(items.map((item) => 2 * item));
      }),
      'double',
      { maxBatch: 3 },
    );
    expect(await Promise.all([1, 2, 3, 4].map(double))).toEqual([2, 4, 6, 8]);
    expect(await double(5)).toBe(10);
    expect(calls).toEqual([[1, 2, 3], [4], [5]]);
  });

  it('rejects every item of a call that fails or gives the wrong number of results', async () => {
    const failing = batched(
      handleOf(() => Promise.reject(new Error('no'))),
      'x',
      { maxBatch: 8 },
    );
    const results = await Promise.allSettled([failing(1), failing(2)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const short = batched(
      handleOf(() => Promise.resolve([1])),
      'x',
      { maxBatch: 8 },
    );
    const mismatched = await Promise.allSettled([short(1), short(2)]);
    expect(mismatched.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
