import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError, within } from '@forge/errors';
import { Redis } from 'ioredis';
import { passwordFileIn, withoutPassword, withPasswordFrom } from './redis-password';
import { RestartWindow } from './restart-window';

export interface ProvisionOptions {
  /** A Redis to use instead of an own one (REDIS_URL). */
  url?: string | undefined;
  /** Where an own one keeps its append-only file. */
  dir: string;
  /** Told what happens. */
  log: (message: string) => void;
  /** Whether the package may be installed (Debian-like system, as root). */
  mayInstall: boolean;
  /** How often within a minute an own one that died is started again. */
  restartsPerMinute?: number;
}

export interface ProvisionedRedis {
  url: string;
  /** Directory where an own one keeps what it holds, for its next starter; null: elsewhere, or nowhere. */
  dir: string | null;
  /** The file with the password of an own one; null: the address of the given one has what it takes. */
  passwordFile: string | null;
  /** Ends an own Redis; leaves a given one alone. */
  stop(): Promise<void>;
}

const START_ATTEMPTS = 5;
const START_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 10_000;
const RESTARTS_PER_MINUTE = 10;
const CONTAINER_IMAGE = 'redis:7-alpine';

/**
 * A Redis for a run, in this order: the one at `url`; an own one from a redis-server or valkey-server on the PATH; the
 * same after installing the package; a container. An own server that dies is started again, and it ends with this
 * process, however that ends; a container only by `stop`. An own one listens on the loopback interface and has a
 * password.
 *
 * @throws {ForgeError} TRANSIENT_REDIS_UNREACHABLE naming the ways when none works.
 */
export async function provisionRedis({
  url,
  dir,
  log,
  mayInstall,
  restartsPerMinute = RESTARTS_PER_MINUTE,
}: ProvisionOptions): Promise<ProvisionedRedis> {
  if (url !== undefined) {
    log(`using Redis at ${withoutPassword(url)}`);
    return { url, dir: null, passwordFile: null, stop: () => Promise.resolve() };
  }
  const found = findServer();
  if (found !== null) return startServer(found, dir, log, restartsPerMinute);
  if (mayInstall && process.getuid?.() === 0 && existsSync('/etc/debian_version')) {
    log('installing redis-server (apt-get) ...');
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
    spawnSync('apt-get', ['install', '-y', '-qq', 'redis-server'], { stdio: 'ignore' });
    const installed = findServer();
    if (installed !== null) return startServer(installed, dir, log, restartsPerMinute);
  }
  if (spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 5000 }).status === 0)
    return startContainer(dir, log);
  throw new ForgeError(
    'TRANSIENT_REDIS_UNREACHABLE',
    'no Redis: set REDIS_URL, or put redis-server or valkey-server on the PATH (Debian: apt-get install redis-server; ' +
      'macOS: brew install redis), or start Docker',
  );
}

function findServer(): string | null {
  return (
    ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0) ?? null
  );
}

async function startServer(
  binary: string,
  dir: string,
  log: (message: string) => void,
  restartsPerMinute: number,
): Promise<ProvisionedRedis> {
  const passwordFile = passwordFileIn(dir);
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt++) {
    const port = await freePort();
    const url = withPasswordFrom(`redis://127.0.0.1:${port}`, passwordFile);
    const start = (): Guarded => guarded(binary, [passwordFile, ...serverOptions(port, dir)]);
    const server = start();
    if (await answers(url, server.ended)) {
      log(`started ${binary} on port ${port}`);
      const stop = keepRunning({ first: server, start, url, log, restartsPerMinute });
      return { url, dir, passwordFile, stop };
    }
    await server.stop();
  }
  throw new ForgeError(
    'TRANSIENT_REDIS_UNREACHABLE',
    `${binary} did not start after ${START_ATTEMPTS} attempts in ${dir}`,
  );
}

function serverOptions(port: number, dir: string): string[] {
  return [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--daemonize', 'no'],
    ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
  ];
}

/**
 * Starts a server again whenever it dies, with the port and the append-only file it had, so that a run waits and goes
 * on. Returns what ends it for good.
 */
function keepRunning({ first, start, url, log, restartsPerMinute }: Kept): () => Promise<void> {
  const stopping = new AbortController();
  const restarts = new RestartWindow(restartsPerMinute);
  const shownUrl = withoutPassword(url);
  let server = first;
  const follow = async (): Promise<void> => {
    for (;;) {
      const reason = await server.ended;
      if (stopping.signal.aborted) return;
      const pauseMs = restarts.next(performance.now());
      if (pauseMs === null) {
        log(
          `Redis at ${shownUrl} died (${reason}) more than ${restartsPerMinute} times in a minute; giving it up`,
        );
        return;
      }
      log(`Redis at ${shownUrl} died (${reason}); starting it again in ${pauseMs} ms`);
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      server = start();
      if (await answers(url, server.ended)) log(`Redis at ${shownUrl} is back`);
    }
  };
  const following = follow();
  return async () => {
    stopping.abort();
    await server.stop();
    await following;
  };
}

interface Kept {
  /** The server that runs now. */
  first: Guarded;
  start: () => Guarded;
  url: string;
  log: (message: string) => void;
  restartsPerMinute: number;
}

interface Guarded {
  /** Resolves with why it ended. */
  ended: Promise<string>;
  stop: () => Promise<void>;
}

/**
 * Runs a command beside a guard, a shell that ends it when the guard's own input closes: that pipe closes however this
 * process ends, SIGKILL included, so that no server stays behind.
 */
function guarded(command: string, args: readonly string[]): Guarded {
  // Process groups of their own: Ctrl-C in the terminal must not end Redis before the run has drained.
  const child = spawn(command, args, { stdio: 'ignore', detached: true });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
    // It could not be started, so there will be no exit.
    child.on('error', (error) => child.pid === undefined && resolve(error.message));
  });
  if (child.pid !== undefined) {
    const guard = spawn('/bin/sh', ['-c', 'read -r _; kill -TERM "$1"', 'guard', String(child.pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    // Better no server than one that would stay behind.
    guard.on('error', () => child.kill('SIGTERM'));
    guard.stdin.on('error', () => undefined);
    void ended.then(() => guard.kill('SIGKILL'));
  }
  return {
    ended,
    stop: async () => {
      child.kill('SIGTERM');
      await within(STOP_DEADLINE_MS, ended, () => child.kill('SIGKILL'));
      await ended;
    },
  };
}

async function answers(url: string, ended: Promise<unknown>): Promise<boolean> {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {
    // Not up yet.
  });
  const answered = Promise.race([redis.ping().then(() => true), ended.then(() => false)]);
  try {
    return await within(START_DEADLINE_MS, answered, () => false);
  } finally {
    redis.disconnect();
  }
}

async function startContainer(dir: string, log: (message: string) => void): Promise<ProvisionedRedis> {
  const port = await freePort();
  log(`starting a ${CONTAINER_IMAGE} container on port ${port} ...`);
  const passwordFile = passwordFileIn(dir);
  const docker = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync('docker', args, { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
    const message = `docker could not run ${CONTAINER_IMAGE}: ${stderr.trim()}`;
    throw new ForgeError('TRANSIENT_REDIS_UNREACHABLE', message);
  };
  // The image gives what lies in /data to the user it runs as.
  const server = [
    'redis-server',
    '/data/password.conf',
    '--appendonly',
    'yes',
    '--maxmemory-policy',
    'noeviction',
  ];
  const id = docker('create', '--rm', '-p', `127.0.0.1:${port}:6379`, CONTAINER_IMAGE, ...server);
  const stop = (): Promise<void> => {
    spawnSync('docker', ['rm', '--force', id], { stdio: 'ignore' });
    return Promise.resolve();
  };
  try {
    docker('cp', passwordFile, `${id}:/data/password.conf`);
    docker('start', id);
    const url = withPasswordFrom(`redis://127.0.0.1:${port}`, passwordFile);
    if (await answers(url, new Promise(() => undefined))) return { url, dir: null, passwordFile, stop };
    throw new ForgeError(
      'TRANSIENT_REDIS_UNREACHABLE',
      `${CONTAINER_IMAGE} does not answer at ${withoutPassword(url)}`,
    );
  } catch (error) {
    await stop();
    throw error;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
