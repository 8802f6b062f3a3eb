import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join, sep } from 'node:path';
import { waitFor } from '@forge/testing';
import { Counter } from '../counter.fixture';
import { connectService, type ConnectOptions } from './connect-service';
import type { DeployedReplica } from './deployed-replicas';
import type { Service } from './service';

const FIXTURE = join(__dirname.replace(`${sep}src`, `${sep}dist`), '../deployed.fixture.js');

const children: ChildProcess[] = [];
const services: Service<Counter>[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const service of services.splice(0)) await service.shutdown();
});

/** A deployed counter that begins at `count`. */
async function deploy(count: number): Promise<DeployedReplica> {
  const child = fork(FIXTURE, [String(count)]);
  children.push(child);
  const [replica] = (await once(child, 'message')) as [DeployedReplica];
  return replica;
}

function connect(listed: DeployedReplica[], options: ConnectOptions = {}): Service<Counter> {
  const directory = { list: () => Promise.resolve([...listed]) };
  const service = connectService('counter', Counter, directory, { timeoutMs: 10_000, ...options });
  services.push(service);
  return service;
}

describe('connectService', () => {
  it('calls the replicas that are listed, one or all', async () => {
    const service = connect([await deploy(10), await deploy(20)]);
    await waitFor('both replicas', () => service.replicas().length === 2);
    expect((await service.value.call()).sort()).toEqual([10, 20]);
    expect([10, 20]).toContain(await service.value.choose());
    expect(service.metrics().service).toMatchObject({ totalRequests: 3, successfulRequests: 3 });
  });

  it('lets calls wait for the first replica', async () => {
    const listed: DeployedReplica[] = [];
    const service = connect(listed);
    const call = service.add.choose(2, 3);
    listed.push(await deploy(1));
    expect(await call).toBe(7);
  });

  it('gives up at the deadline when there is none', async () => {
    await expect(connect([]).value.with({ timeoutMs: 120 }).choose()).rejects.toMatchObject({
      code: 'TRANSIENT_SERVICE_UNAVAILABLE',
    });
  });

  it('notices a killed replica at once and goes on with the others', async () => {
    const [doomed, other] = [await deploy(1), await deploy(2)];
    const service = connect([doomed, other]);
    await waitFor('both replicas', () => service.replicas().length === 2);
    const hanging = service.wait.with({ session: 'a' }).choose();
    await waitFor('the call', () => service.metrics().service.activeRequests === 1);
    const victim = service.sessions().get('a');
    const { pids } = service.replicas().find(({ index }) => index === victim)!;
    process.kill(pids[0]!, 'SIGKILL');
    await expect(hanging).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
    const survivor = pids[0] === doomed.pid ? 2 : 1;
    expect(await Promise.all([1, 2, 3].map(() => service.value.choose()))).toEqual([
      survivor,
      survivor,
      survivor,
    ]);
  });

  it('follows the directory: who is listed no more gets no calls, who is new does', async () => {
    const listed = [await deploy(1)];
    const service = connect(listed);
    expect(await service.value.choose()).toBe(1);
    listed.splice(0, 1, await deploy(2));
    await waitFor('the new replica', async () => (await service.value.choose()) === 2);
    expect(service.replicas()).toHaveLength(1);
  });

  it('lets a replica that leaves finish what it has begun', async () => {
    const listed = [await deploy(1)];
    const service = connect(listed);
    const cancel = new AbortController();
    const call = service.wait.with({ signal: cancel.signal }).choose();
    await waitFor('the call', () => service.metrics().service.activeRequests === 1);
    listed.splice(0, 1, await deploy(2));
    expect(await service.value.choose()).toBeGreaterThan(0);
    await waitFor('the new replica alone', async () => (await service.value.choose()) === 2);
    cancel.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('keeps a replica that is connected though nothing was heard of it', async () => {
    const listed = [await deploy(1)];
    const service = connect(listed);
    expect(await service.value.choose()).toBe(1);
    listed.splice(0, 1, { ...listed[0]!, isAlive: false }, { ...(await deploy(2)), isAlive: false });
    const looks = jest.spyOn(listed, Symbol.iterator);
    await waitFor('two looks into the directory', () => looks.mock.calls.length >= 2);
    expect(await service.value.call()).toEqual([1]);
  });

  it('lets the exception of an endpoint concern its caller alone', async () => {
    const service = connect([await deploy(5)]);
    await expect(service.fail.choose()).rejects.toMatchObject({
      code: 'BUG_ENDPOINT',
      message: 'I was asked to fail',
    });
    expect(await service.value.choose()).toBe(5);
    expect(service.replicas()).toMatchObject([{ state: 'HEALTHY', restarts: 0 }]);
  });

  it('does not change the number of replicas', async () => {
    const service = connect([await deploy(5)]);
    await service.value.choose();
    await expect(service.scale(3)).rejects.toMatchObject({ code: 'CONTRACT_INVALID_CALL' });
  });
});
