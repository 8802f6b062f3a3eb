import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { absentAsSync } from '@forge/files';
import type { RunRecord } from '@forge/runs';
import { removePrivateRedis } from '../run-files/remove-private-redis';

const HOUR_MS = 3_600_000;

/**
 * Deletes the directories of own Redis servers of runs that are over, whose state was last changed longer ago than it
 * is to be kept. The ids of these runs.
 */
export function removeExpiredState(records: readonly RunRecord[], nowMs: number): string[] {
  const expired = records.filter(({ state, redisDir, keepStateHours }) => {
    if (state === 'running' || redisDir === null) return false;
    const changedAtMs = newestFileMs(redisDir);
    return changedAtMs !== null && nowMs - changedAtMs > keepStateHours * HOUR_MS;
  });
  return expired.filter(removePrivateRedis).map(({ id }) => id);
}

/** The time the newest file below a directory was written; null where there is no file. */
function newestFileMs(dir: string): number | null {
  return absentAsSync(null, () => {
    const times = readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs);
    return times.length === 0 ? null : Math.max(...times);
  });
}
