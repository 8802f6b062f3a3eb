import { join } from 'node:path';
import type { EchoApi } from './echo-worker.fixture';
import { spawnWorker, type WorkerHandle } from './worker';

let worker: WorkerHandle<EchoApi>;
beforeEach(() => {
  worker = spawnWorker<EchoApi>(join(__dirname, 'echo-worker.fixture'));
});
afterEach(() => worker.terminate());

describe('a worker thread', () => {
  it('answers calls in any order with what its handlers give', async () => {
    const [slow, quick] = await Promise.all([worker.call('spin', 20), worker.call('echo', { a: [1, 2] })]);
    expect([slow, quick]).toEqual([20, { a: [1, 2] }]);
  });

  it('hands memory over instead of copying it', async () => {
    expect(await worker.call('give', 3)).toEqual(Float32Array.of(7, 7, 7));
  });

  it('sends events', async () => {
    const heard = new Promise((resolve) => {
      worker.on('news', resolve);
    });
    await worker.call('announce', 42);
    expect(await heard).toBe(42);
  });

  it('tells the handler when its caller cancels, and no other', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const call = worker.call('untilCancelled', undefined, { signal: first.signal });
    const other = worker.call('untilCancelled', undefined, { signal: second.signal });
    first.abort();
    expect(await call).toBe('cancelled');
    expect(await worker.call('echo', 1, { signal: first.signal })).toBe(1);
    second.abort();
    expect(await other).toBe('cancelled');
  });

  it('rejects a call whose handler throws at once, and lives on', async () => {
    await expect(worker.call('throwNow', undefined as never)).rejects.toMatchObject({
      code: 'BUG_INVARIANT',
      message: 'at once',
    });
    expect(await worker.call('echo', 1)).toBe(1);
  });

  it('rejects a call of a method it does not have', async () => {
    const untyped = worker as unknown as WorkerHandle<Record<string, (argument: never) => Promise<unknown>>>;
    await expect(untyped.call('nothing', undefined as never)).rejects.toMatchObject({
      code: 'CONTRACT_UNKNOWN_ENDPOINT',
    });
  });

  it('rejects an argument that can not cross threads', async () => {
    await expect(worker.call('echo', () => 1)).rejects.toMatchObject({ code: 'BUG_INVARIANT' });
  });

  it('rejects the calls under way and later ones when it crashes, and says so', async () => {
    await expect(worker.call('crash', undefined as never)).rejects.toMatchObject({ code: 'BUG_INVARIANT' });
    await expect(worker.call('echo', 1)).rejects.toMatchObject({ code: 'BUG_INVARIANT' });
    expect((await worker.failed).message).toContain('boom');
  });

  it('ends with a device that is lost, once the caller knows why', async () => {
    await expect(worker.call('loseDevice', undefined)).rejects.toMatchObject({
      code: 'TRANSIENT_DEVICE_LOST',
    });
    expect((await worker.failed).message).toContain('the webgpu device is lost');
  });

  it('rejects the calls under way as cancelled when it is ended', async () => {
    const call = worker.call('untilCancelled', undefined);
    await worker.terminate();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('ends between two computations, or in the middle of one that takes too long', async () => {
    const quick = worker.call('spin', 100);
    await worker.terminate();
    expect(await quick).toBe(100);

    const other = spawnWorker<EchoApi>(join(__dirname, 'echo-worker.fixture'));
    await other.call('echo', 1);
    const endless = other.call('spin', 600_000);
    await other.terminate(50);
    await expect(endless).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('leaves the heartbeat of the main thread alone while it computes', async () => {
    await worker.call('echo', 1);
    let last = performance.now();
    let longest = 0;
    const heartbeat = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 10);
    await worker.call('spin', 500);
    clearInterval(heartbeat);
    // A blocked thread would show a gap of all the 500 ms.
    expect(longest).toBeLessThan(400);
  });
});
