import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, provisionRedis, type Redis } from '@forge/broker';
import { waitFor } from './wait-for';

export interface TestRedis {
  url: string;
  /** Directory of its append-only file. */
  dir: string;
  connect(): Promise<Redis>;
  /** Ends the server by a signal, SIGKILL by default; it is started again where it was. Resolves when it has died. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** The server's process. */
  pid(): Promise<number>;
  /** Messages of the server's owner. */
  log: readonly string[];
  stop(): Promise<void>;
}

/** A Redis of the test's own, in a temporary directory. */
export async function startTestRedis(options: { restartsPerMinute?: number } = {}): Promise<TestRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-redis-'));
  const log: string[] = [];
  const server = await provisionRedis({
    dir,
    log: (message) => log.push(message),
    mayInstall: false,
    ...options,
  });
  const connections: Redis[] = [];
  const connect = async (): Promise<Redis> => {
    const redis = await connectRedis(server.url, { name: 'test', giveUpAfterMs: 5_000 });
    connections.push(redis);
    return redis;
  };
  const pid = async (): Promise<number> => {
    const redis = connections[0] ?? (await connect());
    return Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1]);
  };
  return {
    url: server.url,
    dir,
    log,
    connect,
    pid,
    kill: async (signal = 'SIGKILL') => {
      const victim = await pid();
      process.kill(victim, signal);
      await waitFor(`end of Redis ${victim}`, () => !isRunning(victim));
    },
    stop: async () => {
      for (const connection of connections) connection.disconnect();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Whether a process is there. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
