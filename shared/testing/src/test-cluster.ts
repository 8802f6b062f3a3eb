import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, type Redis } from '@forge/broker';
import { waitFor } from './wait-for';

export interface TestCluster {
  /** `redis+cluster://HOST:PORT,...` */
  url: string;
  connect(): Promise<Redis>;
  /** Gives the server that has a key a replica; resolves when that has the same data. */
  replicate(key: string): Promise<void>;
  /** Kills the server that has a key; resolves when another one has it. */
  killOwner(key: string): Promise<void>;
  stop(): Promise<void>;
}

/** A server that others miss for so long is taken for dead. */
const NODE_TIMEOUT_MS = 1_500;

interface Server {
  port: number;
  process: ChildProcess;
}

/** A Redis Cluster of the test's own: three processes, in temporary directories. */
export async function startTestCluster(): Promise<TestCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-cluster-'));
  const servers: Server[] = [];
  const connections: Redis[] = [];
  for (let i = 0; i < 3; i++) servers.push(await startServer(dir));
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  cli(servers[0]!.port, '--cluster', 'create', ...addresses, '--cluster-yes');
  const isWhole = ({ port }: Server): boolean => cli(port, 'cluster', 'info').includes('cluster_state:ok');
  await waitFor('a whole cluster', () => servers.every(isWhole));
  const url = `redis+cluster://${addresses.join(',')}`;
  const living = (): Server[] =>
    servers.filter(({ process }) => process.exitCode === null && !process.killed);
  /** Undefined while a dead one has no successor. */
  const ownerOf = (key: string): { id: string; port: number } | undefined => {
    const [{ port }] = living() as [Server];
    const slot = Number(cli(port, 'cluster', 'keyslot', key));
    const [owner] = nodesOf(port).filter(({ ranges }) =>
      ranges.some(([from, to]) => from <= slot && slot <= to),
    );
    return owner;
  };
  return {
    url,
    connect: async () => {
      const redis = await connectRedis(url, { name: 'test', giveUpAfterMs: 10_000 });
      connections.push(redis);
      return redis;
    },
    replicate: async (key) => {
      const replica = await startServer(dir);
      servers.push(replica);
      const { id, port } = ownerOf(key)!;
      cli(replica.port, 'cluster', 'meet', '127.0.0.1', String(port));
      await waitFor('the replica to know its master', () =>
        nodesOf(replica.port).some((node) => node.id === id),
      );
      cli(replica.port, 'cluster', 'replicate', id);
      await waitFor('the same data', () =>
        cli(replica.port, 'info', 'replication').includes('master_link_status:up'),
      );
    },
    killOwner: async (key) => {
      const { port } = ownerOf(key)!;
      servers.find((one) => one.port === port)!.process.kill('SIGKILL');
      await waitFor('another owner', () => (ownerOf(key)?.port ?? port) !== port, 20_000);
    },
    stop: async () => {
      for (const connection of connections) connection.disconnect();
      for (const { process } of servers) process.kill('SIGKILL');
      await waitFor('the end of the cluster', () =>
        servers.every(({ process }) => process.signalCode !== null),
      );
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function startServer(dir: string): Promise<Server> {
  const port = await freePort();
  const own = join(dir, String(port));
  mkdirSync(own);
  const options = {
    ...{ port, bind: '127.0.0.1', dir: own, save: '', appendonly: 'yes' },
    ...{ 'cluster-enabled': 'yes', 'cluster-node-timeout': NODE_TIMEOUT_MS, 'repl-diskless-sync-delay': 0 },
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const process = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  process.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  await waitFor('a server of the cluster', () => said.includes('Ready to accept connections'));
  return { port, process };
}

/** A free port whose neighbour 10,000 above, at which servers talk to each other, is a port, too. */
async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    if (port <= 55_535) return port;
  }
}

function cli(port: number, ...args: string[]): string {
  return execFileSync('redis-cli', ['-p', String(port), ...args], { encoding: 'utf8' });
}

/** The masters that a server knows, with the slots they have. */
function nodesOf(port: number): { id: string; port: number; ranges: [number, number][] }[] {
  return cli(port, 'cluster', 'nodes')
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , flags]) => flags!.includes('master') && !flags!.includes('fail'))
    .map(([id, address, , , , , , , ...slots]) => ({
      id: id!,
      port: Number(/:(\d+)@/.exec(address!)![1]),
      ranges: slots
        .filter((range) => !range.startsWith('['))
        .map((range) => {
          const [from, to = from] = range.split('-').map(Number);
          return [from!, to!];
        }),
    }));
}
