import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Recipe } from '@forge/config';
import { waitFor } from '@forge/testing';
import { transactionsOf } from './append-only-file';
import type { Blow } from './chaos-plan';
import { ForgeRun } from './forge-run';
import { strike, type Recovery } from './recovery';
import { recoveryLine } from './recovery-report';
import { RunAudit, type Audit } from './run-audit';

/** Results and history left by a run that is over. */
export interface Outcome {
  audit: Audit;
  steps: number;
  weightsHash: string | null;
  violations: string[];
}

/** Others that take part in a run from outside, from when it is up. */
export interface Company {
  /** Leaves the run, which goes on; resolves when all are gone. */
  leave(): Promise<void>;
  /** Everything that was not as it should be, once the run is over. */
  violations(run: ForgeRun, say: (line: string) => void): Promise<string[]>;
}

export interface ChaosOptions {
  dir: string;
  recipe: Recipe;
  blows: readonly Blow[];
  /** No blow falls later than so long after the start. */
  endAfterMs: number;
  say: (line: string) => void;
  /** Time to get over a blow; left out: that of `strike`. */
  recoversWithinMs?: number;
  company?: (run: ForgeRun) => Promise<Company>;
}

const INTERRUPTED = 130;
const UNDISTURBED_WITHIN_MS = 1_800_000;

/** A run that gets over one blow after the other and is then asked to stop. */
export async function chaosRun({
  dir,
  recipe,
  blows,
  endAfterMs,
  say,
  recoversWithinMs,
  company: invite,
}: ChaosOptions): Promise<Outcome & { recoveries: Recovery[] }> {
  const run = await ForgeRun.start(dir, recipe);
  const recoveries: Recovery[] = [];
  const violations: string[] = [];
  const startedAt = performance.now();
  let company: Company | undefined;
  try {
    await waitFor('every service', () => run.isUp(), 60_000);
    company = await invite?.(run);
    await waitFor('the first step', async () => (await run.runState.version()) >= 1, 60_000);
    for (const blow of blows) {
      if (performance.now() - startedAt > endAfterMs) break;
      await sleep(blow.delayMs);
      recoveries.push(await strike(run, blow, recoversWithinMs));
      say(recoveryLine(recoveries.length, recoveries.at(-1)!));
    }
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error));
  }
  await company?.leave();
  try {
    const code = await run.stop();
    if (code !== INTERRUPTED) violations.push(`forge run ended with ${code} instead of ${INTERRUPTED}`);
  } finally {
    run.kill();
  }
  if (company) violations.push(...(await company.violations(run, say)));
  const forgot = blows.some(({ action }) => action === 'forget');
  return { recoveries, ...conclude(run, recipe, violations, say, forgot) };
}

/** Runs to the last step without a disturbance. */
export async function undisturbedRun(
  dir: string,
  recipe: Recipe,
  say: (line: string) => void,
): Promise<Outcome> {
  const run = await ForgeRun.start(dir, recipe);
  const code = await run.ended(UNDISTURBED_WITHIN_MS);
  return conclude(run, recipe, code === 0 ? [] : [`the undisturbed run ended with ${code}`], say);
}

/**
 * History and files of a run that is over, compared with each other. Its files stay where something is wrong. `forgot`:
 * metrics.jsonl tells of steps as they were done first, before Redis forgot them, and is not compared.
 */
function conclude(
  run: ForgeRun,
  recipe: Recipe,
  earlier: readonly string[],
  say: (line: string) => void,
  forgot = false,
): Outcome {
  const history = new RunAudit(run.runId, recipe.maxStaleness);
  for (const transaction of transactionsOf(run.historyDir)) history.take(transaction);
  const audit = history.result();
  const ledger = run.verifyLedger();
  const violations = [...earlier, ...audit.violations];
  if (!ledger.isRight) violations.push(`forge ledger --verify: ${ledger.said}`);
  let weightsHash: string | null = null;
  try {
    const read = (name: string): string => readFileSync(join(run.runDir, name), 'utf8');
    const summary = JSON.parse(read('summary.json')) as { steps: number; weightsHash: string | null };
    weightsHash = summary.weightsHash;
    if (summary.steps !== audit.steps)
      violations.push(`the summary says ${summary.steps} steps, the history ${audit.steps}`);
    const lines = read('metrics.jsonl').trim().split('\n');
    if (!forgot)
      violations.push(
        ...compareMetrics(
          lines.map((line) => JSON.parse(line) as Record<string, number>),
          audit,
        ),
      );
  } catch (error) {
    violations.push(`files of the run: ${String(error)}`);
  }
  if (violations.length === 0) run.removeFiles();
  else say(`files are kept in ${run.workDir}`);
  return { audit, steps: audit.steps, weightsHash, violations };
}

/** One row for every step of the history, with as many tokens as it has. */
function compareMetrics(rows: readonly Record<string, number>[], audit: Audit): string[] {
  const violations: string[] = [];
  const found = rows.map(({ step }) => step);
  const wanted = Array.from({ length: audit.steps }, (_, i) => i + 1);
  if (found.join() !== wanted.join()) {
    const missing = wanted.filter((step) => !found.includes(step));
    const twice = found.filter((step, i) => found.indexOf(step) !== i);
    const list = (steps: readonly unknown[]): string => steps.join(', ') || 'none';
    violations.push(
      `metrics.jsonl has ${found.length} rows for ${audit.steps} steps (missing ${list(missing)}; twice ${list(twice)})`,
    );
  }
  const tokens = rows.reduce((sum, row) => sum + (row['tokens/trained'] ?? 0), 0);
  if (tokens !== audit.trainedTokens)
    violations.push(`metrics.jsonl has ${tokens} trained tokens, the history ${audit.trainedTokens}`);
  return violations;
}
