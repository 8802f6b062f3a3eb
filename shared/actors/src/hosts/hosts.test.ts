import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasOpenssl, isRunning, selfSigned, waitFor } from '@forge/testing';
import { rootOwner } from '../actor/supervision';
import { Counter } from '../counter.fixture';
import { spawnService } from '../service/spawn-service';
import { useTransport } from '../transports/connections';
import { SocketTransport } from '../transports/socket';
import { thisHost } from './host';
import { HostMesh } from './host-mesh';
import { connectHost, hostsFromEnvironment, type RemoteHost } from './remote-host';

const token = 'a token of the cluster';
process.env.FORGE_CLUSTER_TOKEN = token;

/** An agent in a process of its own, on a machine with some GPUs. */
interface Agent {
  child: ChildProcess;
  address: string;
  log: string[];
}

const agents: ChildProcess[] = [];
async function startAgent(gpus: readonly number[], at = 'tcp://127.0.0.1:0', tls = {}): Promise<Agent> {
  const env = { ...process.env, ...tls, CUDA_VISIBLE_DEVICES: gpus.join(',') };
  const child = fork(join(__dirname, '../../dist/hosts/agent.fixture.js'), [at], { env });
  agents.push(child);
  const [address] = (await once(child, 'message')) as [string];
  const log: string[] = [];
  child.on('message', (line) => log.push(String(line)));
  return { child, address, log };
}

async function startHost(gpus: readonly number[]): Promise<Agent & { host: RemoteHost }> {
  const agent = await startAgent(gpus);
  return { ...agent, host: await connectHost(agent.address) };
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

afterEach(async () => {
  await rootOwner.stopOwned();
  await Promise.all(agents.splice(0).map(end));
});

describe('a host elsewhere', () => {
  it('runs processes that see one GPU each, and takes it back when they stop', async () => {
    const { host, log } = await startHost([2, 5, 7]);
    const procs = await host.spawnProcs({ gpus: 2 }, { withGpus: true });
    const counters = await procs.spawn('counters', Counter, 3);
    expect([(await counters.gpus.call()).values, (await counters.add.call(1)).values]).toEqual([
      [[2], [5]],
      [4, 4],
    ]);
    expect(await host.describe()).toMatchObject({
      gpus: [2, 5, 7],
      freeGpus: [7],
      pids: procs.pids,
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
    });
    await procs.stop();
    expect(await host.describe()).toMatchObject({ freeGpus: [2, 5, 7], pids: [] });
    await waitFor('the log', () => log.length === 4);
    expect(log[0]).toMatch(
      new RegExp(`\\(process ${process.pid}\\) spawns process ${procs.pids[0]} with GPU 2$`),
    );
    expect(log.slice(2).join('\n')).toContain(`the actor process ${procs.pids[1]} ended with exit code 0`);
  });

  it('has no more GPUs than it has, and starts none of what is too much', async () => {
    const { host } = await startHost([0, 1, 2]);
    await host.spawnProcs({ procs: 1 }, { withGpus: true });
    await expect(host.spawnProcs({ procs: 3 }, { withGpus: true })).rejects.toMatchObject({
      code: 'CAPACITY_GPUS',
      message: '3 GPUs are wanted, 2 of 3 are free',
      details: { wanted: 3, free: 2, total: 3 },
    });
    const { freeGpus, pids } = await host.describe();
    expect([freeGpus, pids.length]).toEqual([[1, 2], 1]);
  });

  it('forms a mesh with others, this machine included', async () => {
    const [a, b] = [await startHost([1, 2]), await startHost([3, 4])];
    const procs = await new HostMesh([a.host, b.host]).spawnProcs({ gpus: 2 }, { withGpus: true });
    const counters = await procs.spawn('counters', Counter);
    const gpus = await counters.gpus.call();
    expect([gpus.dimensions, gpus.values]).toEqual([{ hosts: 2, gpus: 2 }, [[1], [2], [3], [4]]]);
    const mixed = await new HostMesh([thisHost(), b.host]).spawnProcs({ procs: 1 });
    expect(mixed.dimensions).toEqual({ hosts: 2, procs: 1 });
    expect((await b.host.describe()).pids).toContain(mixed.pids[1]);
  });

  it('tells of a process that dies, and has its GPU again', async () => {
    const { host } = await startHost([6]);
    const failures: string[] = [];
    const procs = await host.spawnProcs(
      { procs: 1 },
      { withGpus: true, onFailure: ({ error }) => failures.push(`${error.code}`) > 0 },
    );
    process.kill(procs.pids[0]!, 'SIGKILL');
    await waitFor('the failure', () => failures.length === 1);
    expect(failures).toEqual(['TRANSIENT_REPLICA_LOST']);
    await waitFor('the GPU', async () => (await host.describe()).freeGpus.length === 1);
  });

  it('answers what has come before it ends, and starts nothing more', async () => {
    const { host, child } = await startHost([]);
    const procs = await host.spawnProcs({ procs: 1 }, { onFailure: () => true });
    const [slow, other] = [await procs.spawn('slow', Counter), await procs.spawn('other', Counter)];
    const answer = slow.slowly.callOne(500);
    // Behind it on the same connection.
    await other.value.callOne();
    child.kill('SIGTERM');
    await waitFor('the refusal', () =>
      host.spawnProcs({ procs: 1 }).then(
        (more) => more.stop().then(() => false),
        ({ code }) => code === 'TRANSIENT_SERVICE_UNAVAILABLE',
      ),
    );
    expect(await answer).toBe(1);
    expect(await once(child, 'exit')).toEqual([0, null]);
    await expect(slow.value.callOne()).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
  });

  it('is the same host when its agent is started anew', async () => {
    const { host, child, address } = await startHost([]);
    await end(child);
    await expect(host.spawnProcs({ procs: 1 })).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
    await startAgent([], address);
    expect((await host.spawnProcs({ procs: 1 })).size).toBe(1);
  });
});

describe('a service on two hosts', () => {
  it('goes on with one of them when the agent of the other is killed', async () => {
    const [a, b] = [await startHost([0]), await startHost([1, 2])];
    const service = await spawnService({ numReplicas: 2, hosts: [a.host, b.host], withGpus: true }, Counter);
    expect(await service.gpus.call()).toEqual([[0], [1]]);
    const [lost] = service.replicas()[0]!.pids;
    let calls = 0;
    let isOver = false;
    const caller = (async () => {
      for (; !isOver; calls++) await service.value.choose();
    })();
    a.child.kill('SIGKILL');
    await waitFor('the recovery', () => service.metrics().service.restarts === 1);
    await waitFor('two replicas', () => service.metrics().service.healthyReplicas === 2);
    isOver = true;
    await caller;
    expect(calls).toBeGreaterThan(0);
    expect(await service.gpus.call()).toEqual([[2], [1]]);
    await waitFor('the end of its process', () => !isRunning(lost!));
    await expect(service.scale(3)).rejects.toMatchObject({
      code: 'TRANSIENT_REPLICA_LOST',
      message: /host-\d+: nobody answers at .*; host-\d+: 1 GPUs are wanted, 0 of 2 are free/,
    });
    await service.shutdown();
    expect((await b.host.describe()).freeGpus).toEqual([1, 2]);
  });

  it('is where FORGE_HOSTS says', async () => {
    const [a, b] = [await startAgent([]), await startAgent([])];
    process.env.FORGE_HOSTS = `${a.address}, ${b.address}`;
    const hosts = await hostsFromEnvironment();
    delete process.env.FORGE_HOSTS;
    expect(hosts.map(({ name }) => name)).toEqual([`host-${a.child.pid}`, `host-${b.child.pid}`]);
    expect(await hostsFromEnvironment()).toEqual([thisHost()]);
  });
});

describe('a caller that is killed', () => {
  it('leaves no process at the agent', async () => {
    const { host, address } = await startHost([0, 1]);
    const caller = fork(join(__dirname, '../../dist/caller.fixture.js'), [address], {
      env: process.env,
    });
    const [pids] = (await once(caller, 'message')) as [number[]];
    expect([pids.length, pids.every(isRunning), (await host.describe()).freeGpus]).toEqual([5, true, []]);
    caller.kill('SIGKILL');
    await waitFor('the end of all', () => !pids.some(isRunning));
    expect(await host.describe()).toMatchObject({ freeGpus: [0, 1], pids: [] });
  });
});

describe('connectHost', () => {
  afterEach(() => {
    useTransport(new SocketTransport({ token }));
  });

  it.each([[{ token: 'another' }], [{}]])('is refused with %j as the token', async (options) => {
    const { address } = await startAgent([]);
    useTransport(new SocketTransport(options));
    await expect(connectHost(address)).rejects.toMatchObject({
      code: 'CONTRACT_UNAUTHORIZED',
      message: /FORGE_CLUSTER_TOKEN/,
    });
  });

  it('knows a peer that is no agent', async () => {
    const server = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(connectHost(`tcp://127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'CONTRACT_PROTOCOL_MISMATCH',
    });
    server.close();
    await once(server, 'close');
    await expect(connectHost(`tcp://127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'TRANSIENT_REPLICA_LOST',
    });
  });

  it.each(['unix:/tmp/agent', 'tcp://nobody', 'nonsense'])(
    'does not take %s for an address',
    async (address) => {
      await expect(connectHost(address)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    },
  );
});

(hasOpenssl ? describe : describe.skip)('a host over TLS (openssl makes the certificate)', () => {
  const dir = mkdtempSync(join(tmpdir(), 'forge-tls-'));
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });
  afterEach(() => {
    useTransport(new SocketTransport({ token }));
  });

  it('runs actors for whoever trusts its certificate, and for nobody else', async () => {
    const { certFile, keyFile } = selfSigned(dir);
    const files = { FORGE_TLS_CERT: certFile, FORGE_TLS_KEY: keyFile };
    const { address } = await startAgent([], 'tls://localhost:0', files);
    await expect(connectHost(address)).rejects.toMatchObject({
      code: 'CONTRACT_UNAUTHORIZED',
      message: /certificate of tls:\/\/localhost:\d+ is not trusted/,
    });
    useTransport(new SocketTransport({ token, tls: { ca: readFileSync(certFile, 'utf8') } }));
    const host = await connectHost(address);
    const counter = await (await host.spawnProcs({ procs: 1 })).spawn('counter', Counter, 1);
    expect(await counter.add.callOne(2)).toBe(3);
  });
});
