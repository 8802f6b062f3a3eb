import { redisMemory, removeOrphans, RunState, withoutPassword, type Redis } from '@forge/broker';
import { candidatesPerBatch, recipeToYaml, type Recipe } from '@forge/config';
import { checkMemory, memoryNeed } from './redis-memory';
import { createRunDirectory, type RunRecord } from './run-directory';

/** What a run is beside its recipe. */
export interface NewRun extends Pick<
  RunRecord,
  'id' | 'pid' | 'redisUrl' | 'redisDir' | 'redisPasswordFile'
> {
  startedAt: Date;
  /** Of the first sample. */
  promptTokens: number;
}

/** A run that is there now: its services may start. */
export interface CreatedRun {
  runState: RunState;
  record: RunRecord;
  directory: string;
}

/**
 * Makes the state of a run in Redis, and its directory.
 *
 * @throws {ForgeError} CONFIG_INVALID when Redis has less memory than it may take; CONFLICT_STATE when it is there.
 */
export async function createRun(
  recipe: Recipe,
  redis: Redis,
  run: NewRun,
  say: (message: string) => void,
): Promise<CreatedRun> {
  const warning = checkMemory(memoryNeed(recipe, run.promptTokens), await redisMemory(redis));
  if (warning !== null) say(warning);
  for (const gone of await removeOrphans(redis)) say(`removed what was left in Redis of ${gone}`);
  const runState = new RunState(redis, run.id);
  await runState.create(recipe, {
    maxStaleness: recipe.maxStaleness,
    candidatesPerBatch: candidatesPerBatch(recipe),
    steps: recipe.steps,
  });
  const record = recordOf(recipe, run);
  return { runState, record, directory: createRunDirectory(recipe.output.dir, record, recipeToYaml(recipe)) };
}

/** How a run that begins is found again. */
export function recordOf(recipe: Recipe, run: NewRun): RunRecord {
  const { id, startedAt, pid, redisUrl, redisDir, redisPasswordFile } = run;
  return {
    id,
    recipe: recipe.name,
    seed: recipe.seed,
    steps: recipe.steps,
    startedAt: startedAt.toISOString(),
    pid,
    redisUrl: withoutPassword(redisUrl),
    keepStateHours: recipe.limits.keepStateHours,
    redisDir,
    redisPasswordFile,
    state: 'running',
  };
}
