import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cliEnvironment, loadRecipe, overrideForResume } from '@forge/config';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import {
  claimRun,
  findRunRecord,
  isAlive,
  whenProcessesEnded,
  type RunRecord,
  writeRunConfig,
  writeRunRecord,
} from '@forge/runs';
import { withDashboard, type Beside } from '../running/beside-run';
import { placeOf, settingsOf } from '../running/create-run';
import { checkFits } from '../planning/fit';
import { availableMemory } from '../planning/run-plan';
import { preflight } from '../running/preflight';
import { redisForResume } from '../resume/redis-for-resume';
import { continueState } from '../resume/continue-state';
import { restartFromCheckpoint } from '../resume/restart-from-checkpoint';
import { checkGoals } from '../resume/check-goals';
import { steeredRecipe } from '../resume/steered-recipe';
import { supervise } from '../running/supervise-run';

/** Services end within their time to drain; this much later they have. */
const MARGIN_MS = 5_000;

export interface ResumeOptions {
  dir: string;
  /** Checkpoint to go back to, whatever state there is. */
  from?: number;
  dashboard?: boolean;
  /** Go on even if it takes more memory than there is. */
  force?: boolean;
}

/**
 * `forge resume RUN`: goes on with a run that was interrupted, failed or lost its supervisor, where it was if its state is
 * still in Redis, else from its newest good checkpoint.
 *
 * @throws {ForgeError} CONFLICT_STATE for a run that can't go on, CONFIG_INVALID for what can't change.
 */
export async function resume(
  id: string,
  { dir, from, dashboard = false, force = false }: ResumeOptions,
  overrides: readonly string[],
): Promise<number> {
  findRun(dir, id);
  const shown = { isWanted: dashboard, runsDir: dir, isTerminal: process.stdout.isTTY };
  return withDashboard(shown, (beside) => goOn(id, { dir, from, force, beside }, overrides));
}

async function goOn(
  id: string,
  { dir, from, force, beside }: { dir: string; from: number | undefined; force: boolean; beside: Beside },
  overrides: readonly string[],
): Promise<number> {
  const directory = join(dir, id);
  const unclaim = claimRun(directory, isAlive);
  const say = (message: string): void => {
    process.stderr.write(`forge: ${message}\n`);
  };
  try {
    // Another one may have resumed the run until it was claimed here.
    const record = findRun(dir, id);
    const stored = steeredRecipe(loadRecipe(runPaths(directory).config, [], { searchDirs: [] }), directory);
    const { recipe, promptTokens, model, models } = await preflight(
      overrideForResume({ ...stored, output: { ...stored.output, dir } }, overrides),
      { startsHere: true },
    );
    const withinMs = recipe.limits.drainSeconds * 1000 + MARGIN_MS;
    await whenProcessesEnded(record, withinMs, say);
    if (!force) checkFits(recipe, models, promptTokens, availableMemory(), 'resume');
    const redisServer = await redisForResume(record, recipe.limits, say);
    try {
      return await supervise(recipe, {
        id,
        startedAt: new Date(),
        redisServer,
        logLevel: cliEnvironment().logLevel,
        say,
        beside,
        open: async (runState, redis) => {
          const run = { id, directory, runState, redis, withinMs, say };
          const stand = from === undefined ? await continueState(run) : 'another checkpoint is asked for';
          const start =
            typeof stand === 'string' ? await restartFromCheckpoint(run, model.config, stand, from) : stand;
          checkGoals(record, recipe, start.version, from === undefined);
          const resumedAt = await start.go(recipe, settingsOf(recipe));
          const resumed: RunRecord = {
            ...record,
            ...placeOf(redisServer),
            steps: recipe.steps,
            keepStateHours: recipe.limits.keepStateHours,
            state: 'running',
          };
          delete resumed.message;
          writeRunConfig(directory, recipe);
          writeRunRecord(directory, resumed);
          unclaim();
          return { record: resumed, directory, resumedAt };
        },
      });
    } finally {
      await redisServer.stop();
    }
  } finally {
    unclaim();
  }
}

/** @throws {ForgeError} CONFLICT_STATE naming why it can't be resumed. */
function findRun(dir: string, id: string): RunRecord {
  if (existsSync(join(dir, id)) && !existsSync(runPaths(join(dir, id)).record)) {
    throw new ForgeError(
      'CONFLICT_STATE',
      `${join(dir, id)} is no run: it has no run.json; forge runs lists those there are`,
      { id, dir },
    );
  }
  const record = findRunRecord(dir, id, isAlive);
  if (record.state !== 'running') return record;
  throw new ForgeError(
    'CONFLICT_STATE',
    `run ${id} is still running (process ${record.pid}); stop it first (Ctrl-C)`,
    { id, pid: record.pid },
  );
}
