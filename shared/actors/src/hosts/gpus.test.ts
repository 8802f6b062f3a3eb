import { visibleGpus } from '@forge/config';
import { rootOwner } from '../actor/supervision';
import { Counter } from '../counter.fixture';
import { spawnService } from '../service/spawn-service';
import { GpuPool } from './gpu-pool';
import { LocalHost } from './host';
import { HostMesh } from './host-mesh';

afterEach(() => rootOwner.stopOwned());

/** A machine with some GPUs, whatever this one has. */
const hostWith = (ids: readonly number[]): LocalHost => new LocalHost(new GpuPool(ids));

describe('processes with GPUs', () => {
  it('see one each, and give it back when they stop', async () => {
    const host = hostWith([0, 2, 5]);
    const procs = await host.spawnProcs({ gpus: 2 }, { withGpus: true });
    const counters = await procs.spawn('counters', Counter);
    expect((await counters.gpus.call()).values).toEqual([[0], [2]]);
    expect(host.gpus.available).toEqual([5]);
    await expect(host.spawnProcs({ gpus: 2 }, { withGpus: true })).rejects.toMatchObject({
      code: 'CAPACITY_GPUS',
      details: { wanted: 2, free: 1, total: 3 },
    });
    await procs.stop();
    expect(host.gpus.available).toEqual([0, 2, 5]);
  });

  it('are not limited in what they see without', async () => {
    const procs = await hostWith([]).spawnProcs({ gpus: 1 });
    const counter = await procs.spawn('counter', Counter);
    expect(await counter.gpus.callOne()).toEqual(visibleGpus());
  });

  it('keep theirs when a replica is replaced', async () => {
    const host = hostWith([4]);
    const service = await spawnService({ hosts: [host], withGpus: true }, Counter);
    process.kill(service.replicas()[0]!.pids[0]!, 'SIGKILL');
    expect(await service.gpus.choose()).toEqual([4]);
    expect(service.metrics().service.restarts).toBe(1);
    await expect(service.scale(2)).rejects.toMatchObject({ code: 'CAPACITY_GPUS' });
    expect([await service.gpus.choose(), service.replicas().length]).toEqual([[4], 1]);
  });

  it('are shared out among hosts', async () => {
    const [a, b] = [hostWith([1, 2]), hostWith([3, 4])];
    const procs = await new HostMesh([a, b]).spawnProcs({ gpus: 2 }, { withGpus: true });
    const counters = await procs.spawn('counters', Counter);
    const values = await counters.gpus.call();
    expect([values.dimensions, values.values]).toEqual([{ hosts: 2, gpus: 2 }, [[1], [2], [3], [4]]]);
    expect((await counters.slice({ hosts: 1, gpus: 0 }).gpus.call()).item()).toEqual([3]);
    const more = new HostMesh([a, hostWith([5, 6])]).spawnProcs({ gpus: 1 }, { withGpus: true });
    await expect(more).rejects.toMatchObject({
      code: 'CAPACITY_GPUS',
      details: { wanted: 1, free: 0, total: 2 },
    });
  });
});
