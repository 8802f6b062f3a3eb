import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connectRedis, removeOrphans, RunState, withoutPassword, type Redis } from '@forge/broker';
import {
  cliEnvironment,
  loadRecipe,
  parseResolvedRecipe,
  recipeToYaml,
  stackEnvironment,
  type Recipe,
} from '@forge/config';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { createRunDirectory, newRunId } from '@forge/runs';
import { checkFits } from '../planning/fit';
import { availableMemory } from '../planning/run-plan';
import { createRun, recordOf, type NewRun } from '../running/create-run';
import { differingSettings } from '../differing-settings';
import { preflight } from '../running/preflight';
import { dated } from '../start-day';
import { recipeDirs } from '../recipe-dirs';

export interface CreateOptions {
  id?: string;
  /** Make it even if it takes more memory than there is. */
  force?: boolean;
}

const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * `forge create [RECIPE]`: makes a run for services that others start, unless it is there already, and prints its id.
 * Arguments left out come from FORGE_RECIPE with FORGE_OVERRIDES, and FORGE_RUN_ID.
 */
export async function create(
  recipeName: string | undefined,
  overrides: readonly string[],
  { id, force = false }: CreateOptions,
): Promise<number> {
  const say = (message: string): void => {
    process.stderr.write(`forge: ${message}\n`);
  };
  const stack = stackEnvironment();
  const { redisUrl } = cliEnvironment();
  const name = recipeName ?? stack.recipe;
  if (name === undefined) throw missing('a recipe', 'FORGE_RECIPE');
  if (redisUrl === undefined) throw missing('a Redis', 'REDIS_URL');
  const changes = recipeName === undefined ? stack.overrides : overrides;
  const given = loadRecipe(name, changes, { searchDirs: recipeDirs() });
  const startedAt = new Date();
  const runId = id ?? stack.runId ?? newRunId(given.name, startedAt, randomBytes(2).toString('hex'));
  if (!RUN_ID.test(runId)) {
    const message = `a run id is made of letters, digits, dots, hyphens and underscores; found ${runId}`;
    throw new ForgeError('CONFIG_INVALID', message, { runId });
  }
  const { recipe, promptTokens, models } = await preflight(dated(given, startedAt), { startsHere: false });
  const checkMemory = (): void => {
    if (!force) checkFits(recipe, models, promptTokens, availableMemory(), 'create');
  };
  const redis = await connectRedis(redisUrl, {
    name: 'forge-create',
    giveUpAfterMs: recipe.limits.redisWaitSeconds * 1000,
    onWait: say,
  });
  try {
    for (const gone of await removeOrphans(redis)) say(`removed what was left in Redis of ${gone}`);
    const place = {
      pid: null,
      pidMark: null,
      redisUrl: withoutPassword(redisUrl),
      redisDir: null,
      redisPasswordFile: null,
    };
    say(
      await ensure(
        recipe,
        { redis, promptTokens, date: given.date, checkMemory },
        { id: runId, startedAt, place },
        say,
      ),
    );
  } finally {
    redis.disconnect();
  }
  process.stdout.write(`${runId}\n`);
  return 0;
}

interface Asked {
  redis: Redis;
  promptTokens: number;
  date: string | undefined;
  checkMemory: () => void;
}

/**
 * Makes the run where it is missing; what there is now, in words. `date`: the day that is asked for, if any. `checkMemory` is
 * called before: the services of a run that is there have taken theirs.
 */
async function ensure(
  recipe: Recipe,
  { redis, promptTokens, date, checkMemory }: Asked,
  run: NewRun,
  say: (message: string) => void,
): Promise<string> {
  const runState = new RunState(redis, run.id);
  const stored = await runState.config().catch((error: unknown) => {
    if (error instanceof ForgeError && error.code === 'CONFLICT_STATE') return null;
    throw error;
  });
  const directory = join(recipe.output.dir, run.id);
  if (stored === null) {
    if (existsSync(runPaths(directory).record)) {
      const message = `${directory} is there, but this Redis does not know run ${run.id}; choose another id (FORGE_RUN_ID)`;
      throw new ForgeError('CONFLICT_STATE', message, { runId: run.id, directory });
    }
    checkMemory();
    await createRun(recipe, { runState, redis, promptTokens }, run, say);
    return `run ${run.id} of ${recipe.name} is made; its services may start`;
  }
  const there = parseResolvedRecipe(stored);
  // The process that made it may have died before it had a directory.
  if (!existsSync(runPaths(directory).record))
    createRunDirectory(there.output.dir, recordOf(there, run), recipeToYaml(there));
  const differing = differingSettings(there, { ...recipe, date: date ?? there.date });
  if (differing.length > 0)
    say(`run ${run.id} keeps the settings it was made with; those given differ in ${differing.join(', ')}`);
  const [{ phase }, version] = [await runState.phase(), await runState.version()];
  const stands = `run ${run.id} is there already, ${phase} at step ${version} of ${there.steps}`;
  return phase === 'running' ? stands : `${stands}; for a new one choose another id (FORGE_RUN_ID)`;
}

function missing(what: string, variable: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `${what} is needed; set ${variable}`, { variable });
}
