import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { connectRedis, removeRun } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import { findRunRecord, isAlive, redisUrlOf, type RunRecord } from '@forge/runs';
import { removePrivateRedis } from '../run-files/remove-private-redis';

const GIVE_UP_MS = 3_000;
const NOT_CONFIRMED = 2;

/** `forge runs rm RUN...`: deletes the directories of runs that are over, and their state in Redis. */
export async function removeRuns(
  ids: readonly string[],
  { dir, yes }: { dir: string; yes?: boolean },
): Promise<number> {
  const records = ids.map((id) => findRunRecord(dir, id, isAlive));
  const running = records.filter(({ state }) => state === 'running').map(({ id }) => id);
  if (running.length > 0) {
    throw new ForgeError('CONFLICT_STATE', `still running: ${running.join(', ')}; stop it first (Ctrl-C)`, {
      running,
    });
  }
  if (!yes) {
    const lines = records.map(
      (record) => `would remove ${join(dir, record.id)} and its state in ${placeOf(record)}`,
    );
    process.stdout.write(`${lines.join('\n')}\nnothing is removed without --yes\n`);
    return NOT_CONFIRMED;
  }
  for (const record of records) {
    await removeState(record);
    rmSync(join(dir, record.id), { recursive: true, force: true });
    process.stdout.write(`removed ${record.id}\n`);
  }
  return 0;
}

function placeOf({ redisDir, redisUrl }: RunRecord): string {
  return redisDir ?? redisUrl;
}

/** Removes the state where Redis can be reached: else it expires by itself, and the rest is still removed. */
async function removeState(record: RunRecord): Promise<void> {
  const { id } = record;
  if (record.redisDir !== null) {
    removePrivateRedis(record);
    return;
  }
  try {
    const redis = await connectRedis(redisUrlOf(record), { name: 'forge-rm', giveUpAfterMs: GIVE_UP_MS });
    await removeRun(redis, id);
    redis.disconnect();
  } catch (error) {
    const { code, message } = ForgeError.from(error);
    if (code !== 'TRANSIENT_REDIS_UNREACHABLE') throw error;
    process.stderr.write(`forge: ${message}; the state of ${id} there expires by itself\n`);
  }
}
