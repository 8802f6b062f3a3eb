import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A look at what a run has learnt. */
export interface LearningPoint {
  /** Since the run began. */
  seconds: number;
  step: number;
  /** On held-out samples. */
  accuracy: number;
}

/** Learning of a run that ended by itself. */
export interface LearningRun {
  /** The first before the first step, the last at the end. */
  points: LearningPoint[];
  /** Mean over the steps of the mean lag of what was trained, in versions. */
  lag: number;
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
  const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const rows = lines.map((line) => JSON.parse(line) as Record<string, number>);
  const points = new Map<number, LearningPoint>();
  for (const row of rows) {
    const step = row['eval/version'];
    if (step === undefined || points.has(step)) continue;
    points.set(step, {
      seconds: step === 0 ? 0 : row['time/elapsed_s']!,
      step,
      accuracy: row['eval/accuracy']!,
    });
  }
  const step = summary['steps']!;
  points.set(step, { seconds: summary['seconds']!, step, accuracy: summary['finalAccuracy']! });
  const lags = rows.flatMap((row) => row['lag/mean'] ?? []);
  return { points: [...points.values()], lag: lags.reduce((sum, one) => sum + one, 0) / lags.length };
}

/** The first look that found at least this accuracy; undefined when none did. */
export function firstWith(accuracy: number, { points }: LearningRun): LearningPoint | undefined {
  return points.find((point) => point.accuracy >= accuracy);
}

/** The last look. */
export const endOf = ({ points }: LearningRun): LearningPoint => points.at(-1)!;

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
