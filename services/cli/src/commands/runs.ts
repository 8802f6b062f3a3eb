import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkpointSteps, isAlive, listRunRecords, readSummary, type RunRecord } from '@forge/runs';

/** `forge runs`: the runs of an output directory, oldest first. */
export function runs({ dir, json }: { dir: string; json?: boolean }): number {
  const records = listRunRecords(dir, isAlive);
  if (json) {
    process.stdout.write(
      `${JSON.stringify(records.map((record) => ({ ...record, summary: readSummary(join(dir, record.id)), resume: resumable(dir, record) })))}\n`,
    );
    return 0;
  }
  if (records.length === 0) process.stdout.write(`no runs in ${dir}\n`);
  for (const record of records) {
    const way = resumable(dir, record);
    const hint = way === null ? '' : `  forge resume: ${way}`;
    process.stdout.write(`${line(record, readSummary(join(dir, record.id)))}${hint}\n`);
  }
  return 0;
}

/**
 * How `forge resume` would go on with a run, as far as can be told from its files; null for one that can't or that is
 * done. State in a Redis it shares is not looked up.
 */
function resumable(dir: string, { id, state, redisDir }: RunRecord): string | null {
  if (state === 'running' || state === 'finished') return null;
  if (redisDir !== null && existsSync(redisDir)) return 'where it was';
  const [newest] = checkpointSteps(join(dir, id));
  if (newest === undefined) return redisDir === null ? 'where it was, if its Redis still has it' : null;
  return redisDir === null ? `where it was, or from step ${newest}` : `from step ${newest}`;
}

function line(record: RunRecord, summary: Record<string, unknown> | null): string {
  const accuracy =
    typeof summary?.finalAccuracy === 'number' ? `${(100 * summary.finalAccuracy).toFixed(1)} %` : '-';
  const steps = typeof summary?.steps === 'number' ? `${summary.steps}/${record.steps}` : `-/${record.steps}`;
  const weights = typeof summary?.weightsHash === 'string' ? summary.weightsHash.slice(0, 16) : '-';
  return [
    record.id.padEnd(44),
    record.state.padEnd(12),
    `steps ${steps}`.padEnd(16),
    `accuracy ${accuracy}`.padEnd(16),
    `weights ${weights}`,
  ].join(' ');
}
