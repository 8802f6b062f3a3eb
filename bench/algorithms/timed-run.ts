import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Learning of a run until it was stopped. */
export interface TimedRun {
  /** [seconds since the run began, held-out accuracy], the first at 0. */
  points: [number, number][];
  /** Optimizer steps within the time. */
  steps: number;
  /** Mean over the steps of the mean lag of what was trained, in versions. */
  lag: number;
  /** Reason for an end before its time; null when there was none. */
  failure: string | null;
}

/** Time between two looks at a run's metrics. */
const LOOK_MS = 500;
/** Time beyond the measured one in which the run must have started, and have ended. */
const SPARE_MS = 60_000;

/** The main job for `seconds` of its own clock, with these overrides of its recipe. */
export async function timedRun(overrides: readonly string[], seconds: number): Promise<TimedRun> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-timed-'));
  const forge = join('services', 'cli', 'bin', 'forge.cjs');
  const given = [
    'steps=1000000',
    'stopAtAccuracy=1',
    'evaluation.everySteps=10',
    `output.dir=${dir}`,
    ...overrides,
  ];
  const child = spawn(process.execPath, [forge, 'run', 'arithmetic-grpo', ...given], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text) => (said = `${said}${text}`.slice(-2_000)));
  const ended = once(child, 'exit');
  try {
    const deadline = Date.now() + seconds * 1000 + SPARE_MS;
    while (child.exitCode === null && Date.now() < deadline) {
      if (elapsedOf(rowsOf(dir)) >= seconds) break;
      await delay(LOOK_MS);
    }
    const hadEnded = child.exitCode !== null;
    const rows = rowsOf(dir).filter((row) => (row['time/elapsed_s'] ?? 0) <= seconds);
    child.kill('SIGINT');
    await ended;
    const isOver = rows.at(-1)?.['eval/accuracy'] === 1;
    return { ...learnt(rows), failure: hadEnded && !isOver ? lastLine(said) : null };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

type Row = Record<string, number>;

function rowsOf(dir: string): Row[] {
  const run = existsSync(dir) ? readdirSync(dir).sort().at(-1) : undefined;
  const file = run === undefined ? undefined : join(dir, run, 'metrics.jsonl');
  if (file === undefined || !existsSync(file)) return [];
  // The last line may be half written.
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Row);
}

const elapsedOf = (rows: readonly Row[]): number => rows.at(-1)?.['time/elapsed_s'] ?? 0;

function learnt(rows: readonly Row[]): Omit<TimedRun, 'failure'> {
  const points = new Map<number, [number, number]>();
  for (const row of rows) {
    const version = row['eval/version'];
    if (version === undefined || points.has(version)) continue;
    points.set(version, [version === 0 ? 0 : row['time/elapsed_s']!, row['eval/accuracy']!]);
  }
  const lags = rows.flatMap((row) => row['lag/mean'] ?? []);
  const lag = lags.reduce((sum, one) => sum + one, 0) / Math.max(1, lags.length);
  return { points: [...points.values()], steps: rows.at(-1)?.['step'] ?? 0, lag };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
