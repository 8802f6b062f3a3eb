import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, Registry, RunState, type Redis } from '@forge/broker';
import { candidatesPerBatch, storedRecipe, type Recipe } from '@forge/config';
import { selfSigned, waitFor } from '@forge/testing';
import type { ServiceName } from '../service-processes';
import type { HostNetwork } from './host-network';

const root = join(__dirname, '../..');
const USER = 'forge';
const PASSWORD = 'password-of-the-test';
/** Rights of a run in its Redis, as docs/security.md has them. */
const RIGHTS = '~forge:* &forge:* +@all -@admin -@dangerous +info';

/** A service of a host; replicas of one service have different names. */
export interface Placed {
  host: string;
  service: ServiceName;
  /** Default: the host. */
  replica?: string;
}

/** A Redis with TLS on a host, and certificates for all hosts. */
export class HostedRedis {
  private constructor(
    private readonly network: HostNetwork,
    private readonly server: ChildProcess,
    readonly dir: string,
    /** `rediss://USER:PASSWORD@HOST:PORT` */
    private readonly url: string,
    private readonly tls: { certFile: string; keyFile: string },
    /** A connection of the test itself, by a socket. */
    readonly connection: Redis,
  ) {}

  static async start(network: HostNetwork, host: string, hosts: readonly string[]): Promise<HostedRedis> {
    const dir = mkdtempSync(join(tmpdir(), 'forge-hosts-'));
    const tls = selfSigned(
      dir,
      hosts.map((one) => `IP:${network.addressOf(one)}`),
    );
    const config = join(dir, 'redis.conf');
    writeFileSync(
      config,
      [
        `port 0\ntls-port 6379\nbind ${network.addressOf(host)}\nunixsocket ${dir}/s\ndir ${dir}\nsave ""\nappendonly yes`,
        `tls-cert-file ${tls.certFile}\ntls-key-file ${tls.keyFile}\ntls-ca-cert-file ${tls.certFile}\ntls-auth-clients no`,
        `user default off ~* &* +@all\nuser ${USER} on >${PASSWORD} ${RIGHTS}\n`,
      ].join('\n'),
    );
    const [program, ...args] = network.commandOn(host, { own: dir, seen: dir }, ['redis-server', config]);
    const server = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const login = `${USER}:${PASSWORD}`;
    const socket = `${dir}/s?username=${USER}&password=${PASSWORD}`;
    const connection = await connectRedis(socket, { name: 'test', giveUpAfterMs: 10_000 });
    const url = `rediss://${login}@${network.addressOf(host)}:6379`;
    return new HostedRedis(network, server, dir, url, tls, connection);
  }

  /** Variables by which a process on a host reaches it, and is reached by others. */
  environmentOn(host: string): NodeJS.ProcessEnv {
    const { certFile, keyFile } = this.tls;
    return {
      ...{ REDIS_URL: this.url, NODE_EXTRA_CA_CERTS: certFile, FORGE_CLUSTER_TOKEN: 'of all hosts' },
      ...{ FORGE_CALL_ADDRESS: 'tls://0.0.0.0:0', FORGE_HOST: this.network.addressOf(host) },
      ...{ FORGE_TLS_CERT: certFile, FORGE_TLS_KEY: keyFile, FORGE_TLS_CA: certFile },
    };
  }

  stop(): void {
    this.connection.disconnect();
    this.server.kill('SIGKILL');
  }
}

/** A run whose services are processes of several hosts, which share nothing but the network. */
export class HostedRun {
  readonly runState: RunState;
  readonly registry: Registry;
  private readonly children = new Map<string, ChildProcess>();

  constructor(
    private readonly network: HostNetwork,
    private readonly redis: HostedRedis,
    /** Directory of the test, with a directory of each host in it. */
    private readonly dir: string,
    readonly runId: string,
    private readonly recipe: Recipe,
  ) {
    this.runState = new RunState(redis.connection, runId);
    this.registry = new Registry(redis.connection, runId);
  }

  /** Makes the run and starts its services. */
  async start(placed: readonly Placed[]): Promise<void> {
    const { recipe, runState } = this;
    const { maxStaleness, steps, stopAtAccuracy } = recipe;
    const settings = { maxStaleness, steps, stopAtAccuracy, candidatesPerBatch: candidatesPerBatch(recipe) };
    await runState.create(storedRecipe(recipe), settings);
    for (const one of placed) this.launch(one);
  }

  /** The directory that a host sees as that of the runs; `of` another host, where both mount one. */
  runsOf(host: string): string {
    return join(this.dir, host);
  }

  launch({ host, service, replica = host }: Placed, disk = host): void {
    const { redis, network, runId } = this;
    const [own, seen] = [this.runsOf(disk), this.recipe.output.dir];
    mkdirSync(own, { recursive: true });
    mkdirSync(seen, { recursive: true });
    const main = join(root, 'services', service, 'dist/main.js');
    const [program, ...args] = network.commandOn(host, { own, seen }, [process.execPath, main]);
    const child = spawn(program, args, {
      cwd: root,
      env: {
        ...process.env,
        ...redis.environmentOn(host),
        ...{ FORGE_RUN_ID: runId, FORGE_REPLICA: replica, LOG_LEVEL: 'warn' },
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.children.set(`${host}/${service}/${replica}`, child);
  }

  exitOf({ host, service, replica = host }: Placed): NodeJS.Signals | number | null {
    const { exitCode, signalCode } = this.children.get(`${host}/${service}/${replica}`)!;
    return signalCode ?? exitCode;
  }

  async reached(version: number, deadlineMs = 90_000): Promise<void> {
    await waitFor(`version ${version}`, async () => (await this.runState.version()) >= version, deadlineMs);
  }

  async finished(deadlineMs = 120_000): Promise<void> {
    await waitFor(
      'the end of the run',
      async () => {
        const { phase, message } = await this.runState.phase();
        if (phase === 'failed') throw new Error(`the run failed: ${message}`);
        return phase === 'finished';
      },
      deadlineMs,
    );
  }

  /** Ends all processes. */
  async end(): Promise<void> {
    const children = [...this.children.values()];
    for (const child of children) child.kill('SIGKILL');
    await waitFor('all to end', () =>
      children.every(({ exitCode, signalCode }) => (exitCode ?? signalCode) !== null),
    );
    this.runState.close();
  }
}
