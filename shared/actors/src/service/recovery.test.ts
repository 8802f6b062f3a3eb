import { isRunning, waitFor } from '@forge/testing';
import { rootOwner } from '../actor/supervision';
import { Counter, Unready } from '../counter.fixture';
import { useTransport } from '../transports/connections';
import { SocketTransport } from '../transports/socket';
import type { Service } from './service';
import type { ServiceOptions } from './service-options';
import { spawnService } from './spawn-service';

/** Replicas in processes of their own, ended and stopped by signals; one that hangs for 600 ms is lost. */
beforeAll(() => {
  useTransport(new SocketTransport({ heartbeat: { intervalMs: 100, misses: 6 } }));
});
afterEach(() => rootOwner.stopOwned());

const counters = (numReplicas: number, options: ServiceOptions = {}): Promise<Service<Counter>> =>
  spawnService({ numReplicas, ...options }, Counter, 0);
const pidOf = (service: Service<Counter>, index: number): number => service.replicas()[index]!.pids[0]!;
const healthy = (service: Service<Counter>, n: number): Promise<unknown> =>
  waitFor(`${n} healthy replicas`, () => service.metrics().service.healthyReplicas === n);

describe('a service of processes', () => {
  it('replaces a killed replica, and goes on with the others meanwhile', async () => {
    const service = await counters(2);
    const pid = pidOf(service, 0);
    process.kill(pid, 'SIGKILL');
    await waitFor('the failure', () => service.metrics().service.healthyReplicas === 1);
    expect(await service.value.call()).toEqual([0]);
    await healthy(service, 2);
    expect(pidOf(service, 0)).not.toBe(pid);
    expect(service.metrics().replicas.map(({ restarts }) => restarts)).toEqual([1, 0]);
  });

  it('repeats idempotent calls of a killed replica elsewhere, and rejects others', async () => {
    const service = await counters(2, { router: ([first]) => first! });
    const idempotent = service.waitSafely.choose('a');
    const other = service.wait.choose();
    await waitFor('the calls', async () => (await service.started.choose()) === 2);
    process.kill(pidOf(service, 0), 'SIGKILL');
    await expect(other).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
    await waitFor('the call on the other', async () => (await service.started.choose()) === 1);
    expect(await service.release.choose()).toBe(1);
    expect(await idempotent).toBe('a');
  });

  it('moves what is queued for a killed replica', async () => {
    const service = await counters(2, { maxConcurrent: 1, router: ([first]) => first! });
    const held = service.wait.choose();
    held.catch(() => undefined);
    const queued = [service.add.choose(1), service.add.choose(2)];
    expect(service.metrics().replicas.map(({ queueDepth }) => queueDepth)).toEqual([2, 0]);
    process.kill(pidOf(service, 0), 'SIGKILL');
    expect(await Promise.all(queued)).toEqual([1, 3]);
    await expect(held).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
  });

  it('rejects a call on all that was queued at a killed replica, and bounds what is queued there', async () => {
    const service = await counters(2, { maxConcurrent: 1, maxQueued: 1, router: ([first]) => first! });
    const held = service.wait.choose();
    held.catch(() => undefined);
    const onAll = service.value.call().catch((error: unknown) => error);
    expect(service.metrics().replicas.map(({ queueDepth }) => queueDepth)).toEqual([1, 0]);
    await expect(service.value.call()).rejects.toMatchObject({
      code: 'CAPACITY_QUEUE_FULL',
      failedRanks: [0],
    });
    process.kill(pidOf(service, 0), 'SIGKILL');
    expect(await onAll).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST', failedRanks: [0] });
  });

  it('notices a replica that hangs, and ends it', async () => {
    const service = await counters(2);
    const pid = pidOf(service, 1);
    process.kill(pid, 'SIGSTOP');
    await waitFor('the failure', () => service.metrics().service.healthyReplicas === 1);
    await healthy(service, 2);
    expect(isRunning(pid)).toBe(false);
  });

  it('lets a call wait until a replica is up again, at most until its deadline', async () => {
    const service = await counters(1);
    process.kill(pidOf(service, 0), 'SIGKILL');
    expect(await service.value.choose()).toBe(0);
    const stuck = await counters(1, { restarts: { backoffMs: 60_000, maxBackoffMs: 60_000 } });
    for (let kill = 0; kill < 2; kill++) {
      process.kill(pidOf(stuck, 0), 'SIGKILL');
      await waitFor('the failure', () => stuck.metrics().service.healthyReplicas === 0);
      if (kill === 0) await healthy(stuck, 1);
    }
    const call = stuck.value.with({ timeoutMs: 50 }).choose();
    await expect(call).rejects.toMatchObject({ code: 'TRANSIENT_SERVICE_UNAVAILABLE' });
  });

  it('takes a replica of several processes for lost when one of them is', async () => {
    const service = await counters(1, { procsPerReplica: 2 });
    const [first, second] = service.replicas()[0]!.pids;
    process.kill(second!, 'SIGKILL');
    await waitFor('the failure', () => service.metrics().service.healthyReplicas === 0);
    await healthy(service, 1);
    expect(isRunning(first!)).toBe(false);
    expect(await service.value.choose()).toBe(0);
  });

  it('fails no idempotent call while replicas are killed one after another', async () => {
    const service = await counters(3);
    let calls = 0;
    let isOver = false;
    const caller = async (): Promise<void> => {
      while (!isOver) {
        await service.value.choose();
        calls++;
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    for (let kill = 0; kill < 4; kill++) {
      const before = calls;
      await healthy(service, 3);
      process.kill(pidOf(service, kill % 3), 'SIGKILL');
      await waitFor('more calls', () => calls > before + 200);
      await waitFor('the restart', () => service.metrics().service.restarts === kill + 1);
    }
    isOver = true;
    await Promise.all(callers);
    await healthy(service, 3);
  });

  it('rejects the spawn when setup fails, and leaves no process', async () => {
    await expect(spawnService({ numReplicas: 2, name: 'unready' }, Unready)).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
    });
    await expect(spawnService({ name: 'unready' }, Unready)).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
    });
  });
});
