import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasOpenssl, selfSigned } from './self-signed';
import { waitFor } from './wait-for';

/** Whether a Redis that speaks TLS, and the openssl that makes its certificate, are there. */
export const hasTlsRedis = hasOpenssl && knowsTls();

/** A server names the directive it stops at. */
function knowsTls(): boolean {
  const tried = spawnSync('redis-server', ['--tls-auth-clients', 'no', '--port', 'none'], {
    encoding: 'utf8',
  });
  return tried.stderr?.includes('port "none"') ?? false;
}

export interface GuardedRedis {
  /** `rediss://USER:PASSWORD@localhost:PORT` */
  url: string;
  /** File that NODE_EXTRA_CA_CERTS names for a client that trusts it. */
  caFile: string;
  /** Directory of its append-only file. */
  dir: string;
  /** Kills the server and starts it again where it was. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Rights of the user of a run. */
export const ACL_RULES = '~forge:* &forge:* +@all -@admin -@dangerous +info';

/** A Redis that speaks TLS only, and lets in one user, who may do what a run needs. */
export async function startGuardedRedis(user: string, password: string): Promise<GuardedRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-redis-'));
  const { certFile, keyFile } = selfSigned(dir);
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  const config = join(dir, 'redis.conf');
  // The default user is off, but keeps its rights: with them Redis 7 reads transactions back from its append-only file.
  writeFileSync(
    config,
    [
      `port 0\ntls-port ${port}\nbind 127.0.0.1\ndir ${dir}\nsave ""\nappendonly yes`,
      `tls-cert-file ${certFile}\ntls-key-file ${keyFile}\ntls-ca-cert-file ${certFile}\ntls-auth-clients no`,
      `user default off ~* &* +@all\nuser ${user} on >${password} ${ACL_RULES}\n`,
    ].join('\n'),
  );
  const start = async () => {
    const child = spawn('redis-server', [config], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
    await waitFor('a Redis with TLS', () => said.includes('Ready to accept connections'));
    return child;
  };
  let server = await start();
  const end = async (): Promise<void> => {
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  };
  return {
    url: `rediss://${user}:${encodeURIComponent(password)}@localhost:${port}`,
    caFile: certFile,
    dir,
    restart: async () => {
      await end();
      server = await start();
    },
    stop: async () => {
      await end();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
