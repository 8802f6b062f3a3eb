import { existsSync } from 'node:fs';
import {
  connectRedis,
  provisionRedis,
  Registry,
  RunState,
  withPasswordFrom,
  type Redis,
} from '@forge/broker';
import { cliEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { RunRecord } from './run-directory';
import { whenProcessesEnded } from './run-processes';

const GIVE_UP_MS = 5_000;

/** The state of a run in Redis, running or over. */
export interface RunAccess {
  runState: RunState;
  registry: Registry;
  redis: Redis;
  url: string;
}

/**
 * Gives `work` the state of a run. The Redis of a run that is over and had one of its own is started for as long as
 * `work` takes, once no other process has it open.
 *
 * @throws {ForgeError} CONFLICT_STATE when the state is gone; TRANSIENT_REDIS_UNREACHABLE; what `work` throws.
 */
export async function withRun<T>(record: RunRecord, work: (access: RunAccess) => Promise<T>): Promise<T> {
  const server = await redisOf(record);
  try {
    const redis = await connectRedis(server.url, { name: 'forge-cli', giveUpAfterMs: GIVE_UP_MS });
    const runState = new RunState(redis, record.id);
    try {
      await runState.config();
      return await work({ runState, registry: new Registry(redis, record.id), redis, url: server.url });
    } finally {
      runState.close();
      redis.disconnect();
    }
  } finally {
    await server.stop();
  }
}

/**
 * Address of the Redis of a run that goes on, or of the one it was given.
 *
 * @throws {ForgeError} CONFLICT_STATE when the password of its own is gone.
 */
export function redisUrlOf({ redisUrl, redisPasswordFile }: RunRecord): string {
  return redisPasswordFile === null
    ? (cliEnvironment().redisUrl ?? redisUrl)
    : withPasswordFrom(redisUrl, redisPasswordFile);
}

async function redisOf(record: RunRecord): Promise<{ url: string; stop: () => Promise<void> }> {
  const { id, state, redisDir } = record;
  if (redisDir === null || state === 'running')
    return { url: redisUrlOf(record), stop: () => Promise.resolve() };
  if (!existsSync(redisDir)) {
    throw new ForgeError('CONFLICT_STATE', `the state of run ${id} in ${redisDir} is gone`, { id, redisDir });
  }
  // No other process may have it open.
  await whenProcessesEnded(record, GIVE_UP_MS, () => undefined);
  return provisionRedis({ dir: redisDir, log: () => undefined, mayInstall: false });
}
