import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Learning of a run that ended by itself. */
export interface LearningRun {
  /** [seconds since the run began, held-out accuracy], the first at 0, the last at the end. */
  points: [number, number][];
  steps: number;
}

/** A recipe as `forge run` runs it, to its end. */
export function learningRun(recipe: string, overrides: readonly string[]): LearningRun {
  const dir = mkdtempSync(join(tmpdir(), 'forge-learning-'));
  try {
    const forge = join('services', 'cli', 'bin', 'forge.cjs');
    const { status } = spawnSync(
      process.execPath,
      [forge, 'run', recipe, `output.dir=${dir}`, ...overrides],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    if (status !== 0) throw new Error(`forge run ${recipe} ended with ${status}`);
    return readRun(join(dir, readdirSync(dir).sort().at(-1)!));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function readRun(run: string): LearningRun {
  const summary = JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8')) as Record<string, number>;
  const points = new Map<number, [number, number]>();
  for (const line of readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n')) {
    const row = JSON.parse(line) as Record<string, number>;
    const version = row['eval/version'];
    if (version === undefined || points.has(version)) continue;
    points.set(version, [version === 0 ? 0 : row['time/elapsed_s']!, row['eval/accuracy']!]);
  }
  const steps = summary['steps']!;
  points.set(steps, [summary['seconds']!, summary['finalAccuracy']!]);
  return { points: [...points.values()], steps };
}

/** Seconds to the first evaluation of at least `accuracy`; undefined when there was none. */
export function timeTo(accuracy: number, { points }: Pick<LearningRun, 'points'>): number | undefined {
  return points.find(([, reached]) => reached >= accuracy)?.[0];
}

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
