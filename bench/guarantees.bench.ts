import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadRecipe, type Recipe } from '@forge/config';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { ServiceProcesses } from '../e2e/service-processes';

const root = join(__dirname, '..');
const ROUNDS = 3;
const STEPS = 60;
/** Steps left out at the start: processes come up, the pipeline fills. */
const WARM_UP = 15;
const UNGUARDED = join(root, 'bench/guarantees/unguarded.cjs');

/** The main job without evaluations, which are not to be compared. */
function recipeIn(dir: string): Recipe {
  const overrides = [`steps=${STEPS}`, 'evaluation.everySteps=0', `model=${join(root, 'models/arithmetic')}`];
  const recipe = loadRecipe('arithmetic-grpo', overrides, { searchDirs: [join(root, 'infra/recipes')] });
  return { ...recipe, stopAtAccuracy: undefined, output: { ...recipe.output, dir } };
}

/** Milliseconds per step behind the warm-up. */
async function stepMs(redis: TestRedis, runId: string, dir: string, isGuarded: boolean): Promise<number> {
  const { NODE_OPTIONS = '' } = process.env;
  if (!isGuarded) process.env['NODE_OPTIONS'] = `${NODE_OPTIONS} --require ${UNGUARDED}`;
  const run = await ServiceProcesses.start(redis, await redis.connect(), runId, recipeIn(dir)).finally(() => {
    process.env['NODE_OPTIONS'] = NODE_OPTIONS;
  });
  try {
    const atMs = async (version: number): Promise<number> => {
      await run.reached(version);
      return performance.now();
    };
    const startedMs = await atMs(WARM_UP);
    return ((await atMs(STEPS - 1)) - startedMs) / (STEPS - 1 - WARM_UP);
  } finally {
    run.kill();
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/**
 * Throughput of the main job with ledger, deduplication and fences over that without them, in turns. The target is
 * 90 %.
 */
export async function run(): Promise<void> {
  const [redis, dir] = [await startTestRedis(), mkdtempSync(join(tmpdir(), 'forge-bench-'))];
  const times: Record<'with' | 'without', number[]> = { with: [], without: [] };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const kind of ['with', 'without'] as const) {
        times[kind].push(await stepMs(redis, `${kind}-${round}`, dir, kind === 'with'));
        console.log(`${kind} guarantees: ${times[kind].at(-1)!.toFixed(0)} ms a step`);
      }
    }
    const [guarded, bare] = [median(times.with), median(times.without)];
    console.log(
      `throughput ${((100 * bare) / guarded).toFixed(0)} % of that without (target: at least 90 %)`,
    );
  } finally {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
