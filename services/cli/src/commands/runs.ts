import { join } from 'node:path';
import { listRunRecords, readSummary, type RunRecord } from '../run-directory';

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** `forge runs`: the runs of an output directory, oldest first. */
export function runs({ dir, json }: { dir: string; json?: boolean }): number {
  const records = listRunRecords(dir, isAlive);
  if (json) {
    process.stdout.write(
      `${JSON.stringify(records.map((record) => ({ ...record, summary: readSummary(join(dir, record.id)) })))}\n`,
    );
    return 0;
  }
  if (records.length === 0) process.stdout.write(`no runs in ${dir}\n`);
  for (const record of records) process.stdout.write(`${line(record, readSummary(join(dir, record.id)))}\n`);
  return 0;
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
