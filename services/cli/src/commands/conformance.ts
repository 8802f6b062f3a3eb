import { cliEnvironment, loadRecipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { outcomesOf, type Outcome } from '../conformance/check';
import { policyChecks } from '../conformance/policy-checks';
import { rewardChecks } from '../conformance/reward-checks';
import { ScratchRun } from '../conformance/scratch-run';
import { trainerChecks } from '../conformance/trainer-checks';
import { recipeDirs } from '../recipe-dirs';

export interface ConformanceOptions {
  command?: string;
  recipe: string;
  /** Seconds. */
  timeout: number;
  json?: boolean;
}

const CHECKS = { policy: policyChecks, trainer: trainerChecks, reward: rewardChecks };

export type Role = keyof typeof CHECKS;

/**
 * `forge conformance ROLE [URL]`: plays the rest of a run for a part in any language, and says what the part does otherwise
 * than docs/wire.md; 1 when there is something.
 *
 * @throws {ForgeError} CANCELLED after Ctrl-C.
 */
export async function conformance(
  role: Role,
  url: string | undefined,
  overrides: readonly string[],
  { command, recipe: name, timeout, json = false }: ConformanceOptions,
): Promise<number> {
  const say = (message: string): void => {
    process.stderr.write(`forge: ${message}\n`);
  };
  const isAddress = url?.includes('://') ?? false;
  const changes = url === undefined || isAddress ? overrides : [url, ...overrides];
  const recipe = loadRecipe(name, changes, { searchDirs: recipeDirs() });
  if (recipe.adapter !== undefined) {
    const message = 'adapter: the kit looks at whole models; leave it out';
    throw new ForgeError('CONFIG_INVALID', message, { field: 'adapter' });
  }
  const redisUrl = isAddress ? url : cliEnvironment().redisUrl;
  const run = await ScratchRun.open({
    role,
    recipe,
    redisUrl,
    command: command ?? null,
    timeoutMs: timeout * 1000,
    say,
  });
  const ended = new AbortController();
  const interrupt = (): void => ended.abort();
  const interrupted = new Promise<never>((_, reject) => {
    ended.signal.onabort = () => reject(new ForgeError('CANCELLED', 'ended before all checks were made'));
  });
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const tell = (outcome: Outcome): void => {
    if (!json && !ended.signal.aborted) process.stdout.write(`${lineOf(outcome)}\n`);
  };
  try {
    const made = CHECKS[role](run).then((checks) => outcomesOf(checks, run.part, tell));
    const outcomes = await Promise.race([made, interrupted]);
    const report = { role, run: run.runId, checks: outcomes };
    process.stdout.write(`${json ? JSON.stringify(report) : totalOf(outcomes)}\n`);
    return outcomes.some(({ state }) => state === 'failed') ? 1 : 0;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await run.close();
  }
}

function lineOf({ name, section, state, why }: Outcome): string {
  const mark = { passed: 'ok      ', failed: 'WRONG   ', skipped: 'skipped ' }[state];
  const place = state === 'failed' ? `\n        see docs/wire.md#${section}` : '';
  return `${mark}${name}${why === null ? '' : `\n        ${why}`}${place}`;
}

function totalOf(outcomes: readonly Outcome[]): string {
  const count = (state: Outcome['state']): number => outcomes.filter((one) => one.state === state).length;
  const skipped = count('skipped');
  return `${count('passed')} passed, ${count('failed')} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
