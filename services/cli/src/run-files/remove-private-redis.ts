import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import type { RunRecord } from '@forge/runs';

/** Deletes the directory of a run's own Redis; false when it has none that carries the run's id. */
export function removePrivateRedis({ id, redisDir }: Pick<RunRecord, 'id' | 'redisDir'>): boolean {
  if (redisDir === null || basename(redisDir) !== id) return false;
  rmSync(redisDir, { recursive: true, force: true });
  return true;
}
