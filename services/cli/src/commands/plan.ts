import { loadRecipe, rewardModelOf, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { freeDiskBytes } from '@forge/files';
import { adapterShapes, loadTokenizer, readModelConfig, type ModelConfig } from '@forge/model';
import { loadAlgorithm, loadTask } from '@forge/recipe-parts';
import { availableMemory, runPlan } from '../planning/run-plan';
import { probeSpeed } from '../planning/speed-probe';
import { recipeDirs } from '../recipe-dirs';
import { withReference } from '../running/preflight';
import { requireEngines, withEngines } from '../running/resolved-engines';
import { renderPlan } from '../planning/plan-view';
import { dated } from '../start-day';
import { withDownloads } from '../with-downloads';

export interface PlanOptions {
  json?: boolean;
}

/** Tokens of a prompt where the task or the tokenizer is not there to tell. */
const ASSUMED_PROMPT = 256;

/** `forge plan RECIPE`: what a run takes of this machine; exits with 1 when it does not fit. */
export async function plan(
  recipeName: string,
  overrides: readonly string[],
  { json = false }: PlanOptions,
): Promise<number> {
  const given = dated(loadRecipe(recipeName, overrides, { searchDirs: recipeDirs() }), new Date());
  const config = await withDownloads((watch) => readModelConfig(given.model, watch));
  if (given.adapter !== undefined) adapterShapes(config, given.adapter);
  const teacher = given.reference.model;
  const reference =
    teacher === undefined ? config : await withDownloads((watch) => readModelConfig(teacher, watch));
  const scorer = rewardModelOf(given)?.reward.model;
  const rewardModel =
    scorer === undefined
      ? undefined
      : await withDownloads((watch) => readModelConfig(scorer, watch, 'score'));
  const models = { config, reference, rewardModel };
  const recipe = withEngines(withReference(given, await loadAlgorithm(given)), models);
  requireEngines(recipe);
  const { promptTokens, note } = await promptLength(recipe, config);
  const made = runPlan(recipe, models, promptTokens, {
    memoryBytes: availableMemory(),
    diskBytes: await freeDiskBytes(recipe.output.dir),
    speed: await probeSpeed(recipe, config),
  });
  process.stdout.write(json ? `${JSON.stringify({ ...made, note })}\n` : renderPlan(made, note));
  return made.memory.fits && made.disk.fits ? 0 : 1;
}

/** The tokens of the first prompt; assumed, and why, where data or tokenizer are missing here or still on the hub. */
async function promptLength(
  recipe: Recipe,
  { maxPositions, vocabSize }: ModelConfig,
): Promise<{ promptTokens: number; note: string | null }> {
  try {
    const [task, tokenizer] = [
      await loadTask(recipe),
      await loadTokenizer(recipe.model, { embeddingRows: vocabSize, date: recipe.date }),
    ];
    return { promptTokens: tokenizer.renderPrompt(task.sample(0).prompt).tokenIds.length, note: null };
  } catch (error) {
    if (!(error instanceof ForgeError) || error.retryClass === 'bug') throw error;
    const promptTokens = Math.max(1, Math.min(ASSUMED_PROMPT, maxPositions - recipe.sampling.maxTokens));
    return { promptTokens, note: `prompts of ${promptTokens} tokens are assumed: ${error.message}` };
  }
}
