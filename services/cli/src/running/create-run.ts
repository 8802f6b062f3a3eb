import {
  redisMemory,
  withoutPassword,
  type ProvisionedRedis,
  type Redis,
  type RunSettings,
  type RunState,
} from '@forge/broker';
import { candidatesPerBatch, recipeToYaml, storedRecipe, type Recipe } from '@forge/config';
import { createRunDirectory, processMark, type RunRecord } from '@forge/runs';
import { checkMemory, memoryNeed } from './redis-memory';

/** Who supervises a run, and where its state is. */
export type RunPlace = Pick<RunRecord, 'pid' | 'pidMark' | 'redisUrl' | 'redisDir' | 'redisPasswordFile'>;

/** What a run is beside its recipe. */
export interface NewRun {
  id: string;
  startedAt: Date;
  place: RunPlace;
}

/** A run that this process supervises. */
export function placeOf({ url, dir, passwordFile }: ProvisionedRedis): RunPlace {
  return {
    pid: process.pid,
    pidMark: processMark(process.pid),
    redisUrl: withoutPassword(url),
    redisDir: dir,
    redisPasswordFile: passwordFile,
  };
}

/** What the state of a run needs to know of its recipe. */
export function settingsOf(recipe: Recipe): RunSettings {
  const { maxStaleness, steps, stopAtAccuracy } = recipe;
  return { maxStaleness, candidatesPerBatch: candidatesPerBatch(recipe), steps, stopAtAccuracy };
}

/**
 * Makes the state of a run in Redis, and its directory: its services may start. `promptTokens`: of the first sample.
 *
 * @throws {ForgeError} CONFIG_INVALID when Redis has less memory than it may take; CONFLICT_STATE when it is there.
 */
export async function createRun(
  recipe: Recipe,
  { runState, redis, promptTokens }: { runState: RunState; redis: Redis; promptTokens: number },
  run: NewRun,
  say: (message: string) => void,
): Promise<{ record: RunRecord; directory: string }> {
  const warning = checkMemory(memoryNeed(recipe, promptTokens), await redisMemory(redis));
  if (warning !== null) say(warning);
  await runState.create(storedRecipe(recipe), settingsOf(recipe));
  const record = recordOf(recipe, run);
  return { record, directory: createRunDirectory(recipe.output.dir, record, recipeToYaml(recipe)) };
}

/** How a run that begins is found again. */
export function recordOf(recipe: Recipe, { id, startedAt, place }: NewRun): RunRecord {
  return {
    id,
    recipe: recipe.name,
    seed: recipe.seed,
    steps: recipe.steps,
    startedAt: startedAt.toISOString(),
    ...place,
    keepStateHours: recipe.limits.keepStateHours,
    state: 'running',
  };
}
