import { readFileSync } from 'node:fs';
import type { LedgerSnapshot } from '@forge/broker';
import { runPaths } from '@forge/contracts';
import { absentAsSync } from '@forge/files';
import { checkpointSteps } from '@forge/runs';

/** The steps of a run as its directory tells them. */
export interface RunFiles {
  /** Rows of metrics.jsonl, in their order. */
  rows: readonly { step: number; maxLag: number | undefined }[];
  /** Steps of the checkpoints. */
  checkpoints: readonly number[];
  /** summary.json; null before it is written. */
  summary: Readonly<Record<string, unknown>> | null;
}

/** Reads the files; do so before reading the state they are compared with: files follow the commit of a step. */
export function readRunFiles(directory: string): RunFiles {
  const paths = runPaths(directory);
  const rows = linesOf(paths.metrics).map((line) => {
    const row = JSON.parse(line) as Record<string, number>;
    return { step: row['step'] ?? Number.NaN, maxLag: row['lag/max'] };
  });
  const checkpoints = checkpointSteps(directory);
  const summary = absentAsSync(null, () => readFileSync(paths.summary, 'utf8'));
  return {
    rows,
    checkpoints,
    summary: summary === null ? null : (JSON.parse(summary) as Record<string, unknown>),
  };
}

/**
 * Compares the files of a run with its ledger: one row of metrics for every step that was committed, with the lag that
 * its groups have; no checkpoint of a step that was not; the summary's steps, groups and weights. Each disagreement in
 * words.
 *
 * Edge: a row is written after its step is committed, so that a run that is not over may have fewer rows than steps.
 */
export function verifyRunFiles(
  { rows, checkpoints, summary }: RunFiles,
  { run, ledger, versions, groups }: LedgerSnapshot,
): string[] {
  const problems: string[] = [];
  rows.forEach(({ step, maxLag }, i) => {
    if (step !== i + 1) problems.push(`metrics.jsonl: row ${i + 1} is of step ${step}`);
    const { batch, rolledBackTo } = versions.get(step) ?? {};
    // A step that trained nothing has no lag.
    if (!batch || rolledBackTo !== null) return;
    if (maxLag === undefined || maxLag > batch.maxStaleness)
      problems.push(`metrics.jsonl: lag/max of step ${step} is ${maxLag}, above ${batch.maxStaleness}`);
    const oldest = batch.indices.map((index) => groups.get(index)?.origin?.oldest);
    if (oldest.includes(undefined)) return;
    const lag = step - 1 - Math.min(...(oldest as number[]));
    if (maxLag !== lag)
      problems.push(`metrics.jsonl: lag/max of step ${step} is ${maxLag}, but that of its groups is ${lag}`);
  });
  if (rows.length > run.version)
    problems.push(`metrics.jsonl: ${rows.length} steps, but ${run.version} are committed`);
  for (const step of checkpoints) {
    if (step > run.version) problems.push(`checkpoints/step-${step}: the run is at ${run.version}`);
  }
  if (summary?.['state'] !== 'finished') return problems;

  if (rows.length < run.version)
    problems.push(`metrics.jsonl: ${rows.length} steps, but ${run.version} are committed`);
  const differing = (what: string, found: unknown, expected: unknown): void => {
    if (found !== expected)
      problems.push(`summary.json: ${what} is ${String(found)}, but the run's is ${String(expected)}`);
  };
  differing('steps', summary['steps'], run.version);
  differing('weightsHash', summary['weightsHash'], versions.get(run.version)?.weightsHash ?? null);
  differing(
    'ledger.trained',
    (summary['ledger'] as { trained?: number } | undefined)?.trained,
    ledger.trained,
  );
  return problems;
}

function linesOf(path: string): string[] {
  return absentAsSync('', () => readFileSync(path, 'utf8'))
    .split('\n')
    .slice(0, -1);
}
