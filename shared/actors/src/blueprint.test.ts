import { rootOwner } from './actor/supervision';
import { Counter } from './counter.fixture';
import { inProcessHost } from './hosts/host';

afterEach(() => rootOwner.stopOwned());
const hosts = [inProcessHost()];

describe('an actor class with options', () => {
  it('runs as an actor, with its arguments', async () => {
    const counter = await Counter.options({ procs: 1 }).asActor(5);
    expect(await counter.value.callOne()).toBe(5);
    await counter.increment.callOne();
    expect(await counter.value.callOne()).toBe(6);
    await counter.procs.stop();
    await expect(counter.value.callOne()).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
  });

  it('runs as an actor without options', async () => {
    const counter = await Counter.asActor(7);
    await counter.increment.callOne();
    expect(await counter.value.callOne()).toBe(8);
  });

  it('has its options as fields', async () => {
    const configured = Counter.options({ procs: 1, withGpus: false, numReplicas: 2, hosts });
    expect([configured.procs, configured.withGpus, configured.numReplicas]).toEqual([1, false, 2]);
    expect(await (await configured.asActor(3)).value.callOne()).toBe(3);
  });

  it('keeps options apart', async () => {
    const two = Counter.options({ numReplicas: 2, hosts });
    const four = two.options({ numReplicas: 4 });
    const services = [await two.asService(30), await four.asService(20)];
    expect(services.map(({ config }) => config.numReplicas)).toEqual([2, 4]);
    expect([await services[0]!.value.choose(), await services[1]!.value.choose()]).toEqual([30, 20]);
    expect('procs' in Counter).toBe(false);
  });

  it('runs as a service of one replica by default', async () => {
    const service = await Counter.asService(30);
    expect([service.config.numReplicas, service.config.procsPerReplica]).toEqual([1, 1]);
    expect(await service.value.choose()).toBe(30);
  });
});
