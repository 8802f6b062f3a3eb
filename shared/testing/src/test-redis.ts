import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, provisionRedis, type Redis } from '@forge/broker';

export interface TestRedis {
  url: string;
  /** Directory of its append-only file. */
  dir: string;
  connect(): Promise<Redis>;
  stop(): Promise<void>;
}

/** A Redis of the test's own, in a temporary directory. */
export async function startTestRedis(): Promise<TestRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-redis-'));
  const server = await provisionRedis({ dir, log: () => undefined, mayInstall: false });
  const connections: Redis[] = [];
  return {
    url: server.url,
    dir,
    connect: async () => {
      const redis = await connectRedis(server.url, { name: 'test', giveUpAfterMs: 5_000 });
      connections.push(redis);
      return redis;
    },
    stop: async () => {
      for (const connection of connections) connection.disconnect();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
