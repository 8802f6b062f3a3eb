import { readFileSync, rmSync } from 'node:fs';
import { runPaths } from '@forge/contracts';
import { absentAsSync, replaceFileSync } from '@forge/files';

export interface Cut {
  /** Rows of later steps go: these steps are trained again. */
  step: number;
  /** Samples from this prompt on go: they are rolled out again. Null: all stay. */
  nextIndex: number | null;
  /** Metrics of `step`, for a row that is missing. */
  metrics: Readonly<Record<string, number>>;
}

/**
 * Prepares the files of a run directory for a run that goes on after `step`: rows and samples of what will be done again
 * go, a last line that was cut short goes, and the summary of what is not over any more. Steps before `step` that have no
 * row and can't have one any more.
 */
export function cutRunFiles(directory: string, { step, nextIndex, metrics }: Cut): number[] {
  const paths = runPaths(directory);
  const seen = new Set<number>();
  const rows = linesOf<{ step: number }>(paths.metrics).filter((row) => {
    const isKept = row.step <= step && !seen.has(row.step);
    seen.add(row.step);
    return isKept;
  });
  if (step > 0 && !seen.has(step) && Object.keys(metrics).length > 0) rows.push({ step, ...metrics });
  const kept = new Set(rows.map((row) => row.step));
  replace(paths.metrics, rows);
  const samples = linesOf<{ index: number }>(paths.samples);
  replace(
    paths.samples,
    samples.filter(({ index }) => nextIndex === null || index < nextIndex),
  );
  rmSync(paths.summary, { force: true });
  return Array.from({ length: step }, (_, i) => i + 1).filter((one) => !kept.has(one));
}

/** The lines of a file that are whole; none when there is no file. */
function linesOf<T>(path: string): T[] {
  const text = absentAsSync('', () => readFileSync(path, 'utf8'));
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as T];
    } catch {
      return [];
    }
  });
}

function replace(path: string, lines: readonly object[]): void {
  replaceFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
