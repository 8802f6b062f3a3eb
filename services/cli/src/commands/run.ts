import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { provisionRedis } from '@forge/broker';
import { cliEnvironment, loadRecipe } from '@forge/config';
import { isAlive, listRunRecords, newRunId } from '@forge/runs';
import { checkFits } from '../planning/fit';
import { availableMemory } from '../planning/run-plan';
import { recipeDirs } from '../recipe-dirs';
import { withDashboard } from '../running/beside-run';
import { createRun, placeOf } from '../running/create-run';
import { removeExpiredState } from '../running/expired-state';
import { preflight } from '../running/preflight';
import { supervise } from '../running/supervise-run';
import { dated } from '../start-day';

export interface RunOptions {
  record?: boolean;
  dashboard?: boolean;
  /** Start it even if it takes more memory than there is. */
  force?: boolean;
}

/** `forge run RECIPE`: starts the services of a run, shows it, and ends them with it. */
export async function run(
  recipeName: string,
  overrides: readonly string[],
  { record, dashboard = false, force = false }: RunOptions = {},
): Promise<number> {
  const changes = record ? [...overrides, 'output.record=true'] : overrides;
  const { redisUrl, logLevel } = cliEnvironment();
  const startedAt = new Date();
  const { recipe, promptTokens, models } = await preflight(
    dated(loadRecipe(recipeName, changes, { searchDirs: recipeDirs() }), startedAt),
    { startsHere: true },
  );
  if (!force) checkFits(recipe, models, promptTokens, availableMemory());

  const say = (message: string): void => {
    process.stderr.write(`forge: ${message}\n`);
  };
  for (const expired of removeExpiredState(listRunRecords(recipe.output.dir, isAlive), Date.now()))
    say(`removed the expired state of ${expired}`);
  const id = newRunId(recipe.name, startedAt, randomBytes(2).toString('hex'));
  const dir = resolve('.forge', 'redis', id);
  const { restartsPerMinute } = recipe.limits;
  const shown = { isWanted: dashboard, runsDir: recipe.output.dir, isTerminal: process.stdout.isTTY };
  return withDashboard(shown, async (beside) => {
    const redisServer = await provisionRedis({
      url: redisUrl,
      dir,
      log: say,
      mayInstall: true,
      restartsPerMinute,
    });
    try {
      return await supervise(recipe, {
        id,
        startedAt,
        redisServer,
        logLevel,
        say,
        beside,
        open: async (runState, redis) => {
          const run = { id, startedAt, place: placeOf(redisServer) };
          const created = await createRun(recipe, { runState, redis, promptTokens }, run, say);
          return { ...created, resumedAt: null };
        },
      });
    } finally {
      await redisServer.stop();
    }
  });
}
