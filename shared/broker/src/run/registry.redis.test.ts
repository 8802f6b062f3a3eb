import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { Registry } from './registry';

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());

const replica = (name: string, isReady = true) => ({
  service: 'policy',
  replica: name,
  url: `http://127.0.0.1/${name}`,
  pid: 1,
  isReady,
  answers: { address: 'unix:/tmp/s', actor: 'policy-1' },
  callsMade: [{ service: 'reward', replica: '0', requests: 3, failed: 1, p50Ms: 0.5, p99Ms: 2 }],
});
const namesOf = async (registry: Registry) =>
  (await registry.list('policy')).map(({ replica: name }) => name);

describe('registry', () => {
  it('lists the replicas of a service in order, with what they last said', async () => {
    const registry = new Registry(await server.connect(), 'listed');
    await registry.heartbeat(replica('1'));
    await registry.heartbeat(replica('0', false));
    await registry.heartbeat(replica('0', true));
    const listed = await registry.list('policy');
    expect(listed).toEqual([
      { ...replica('0'), seenAtMs: expect.any(Number) as number },
      { ...replica('1'), seenAtMs: expect.any(Number) as number },
    ]);
    expect(await registry.list('reward')).toEqual([]);
  });

  it('takes a replica for dead that is silent, until it is heard again', async () => {
    const registry = new Registry(await server.connect(), 'silent', 300);
    const heard = performance.now();
    await registry.heartbeat(replica('0'));
    expect(await namesOf(registry)).toEqual(['0']);
    await waitFor('expiry', async () => (await namesOf(registry)).length === 0);
    expect(await registry.all('policy')).toMatchObject([{ replica: '0', isAlive: false }]);
    expect(performance.now() - heard).toBeGreaterThanOrEqual(290);
    await registry.heartbeat(replica('0'));
    expect(await namesOf(registry)).toEqual(['0']);
  });

  it('counts the processes that began under a name, also after one has left', async () => {
    const registry = new Registry(await server.connect(), 'begun');
    expect(await registry.starts()).toEqual(new Map());
    for (const name of ['0', '1', '0']) await registry.begins('policy', name);
    await registry.heartbeat(replica('1'));
    await registry.remove('policy', '1', 1);
    await registry.begins('policy', '1');
    await registry.begins('reward', '0');
    const counts = { 'policy/0': 2, 'policy/1': 2, 'reward/0': 1 };
    expect(Object.fromEntries(await registry.starts())).toEqual(counts);
  });

  it('keeps where a replica served clients for whoever has its name next', async () => {
    const registry = new Registry(await server.connect(), 'served');
    expect(await registry.servedAt('gateway', '0')).toBeNull();
    await registry.serves('gateway', '0', 'http://127.0.0.1:8000');
    await registry.heartbeat({ ...replica('0'), service: 'gateway' });
    await registry.remove('gateway', '0', 1);
    expect(await registry.servedAt('gateway', '0')).toBe('http://127.0.0.1:8000');
    expect(await registry.servedAt('gateway', '1')).toBeNull();
  });

  it('says where agents reach the gateways that are ready', async () => {
    const registry = new Registry(await server.connect(), 'gateways');
    const gateway = (name: string, isReady: boolean) => ({ ...replica(name, isReady), service: 'gateway' });
    await registry.heartbeat(gateway('0', false));
    await registry.serves('gateway', '0', 'http://127.0.0.1:8000');
    expect(await registry.gatewayAddresses()).toEqual([]);
    await registry.heartbeat(gateway('1', true));
    expect(await registry.gatewayAddresses()).toEqual([]);
    await registry.serves('gateway', '1', 'http://127.0.0.1:8001');
    expect(await registry.gatewayAddresses()).toEqual(['http://127.0.0.1:8001']);
    await registry.heartbeat(gateway('0', true));
    expect(await registry.gatewayAddresses()).toEqual(['http://127.0.0.1:8000', 'http://127.0.0.1:8001']);
  });

  it('forgets a replica that leaves, and not its successor', async () => {
    const registry = new Registry(await server.connect(), 'left');
    await registry.heartbeat(replica('0'));
    await registry.heartbeat(replica('1'));
    await registry.remove('policy', '0', 1);
    await registry.remove('policy', '1', 2);
    expect(await namesOf(registry)).toEqual(['1']);
  });
});
