import { hasOwnRollout, loadRecipe, type Recipe } from '@forge/config';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { loadModel, modelFolder, type AskedEngine, type LoadedModel } from '@forge/model';
import { loadTask, pinnedTask } from '@forge/recipe-parts';
import { openRewards } from '@forge/rl-actors';
import { accuracyOfRollouts } from '../running/evaluation-run';
import { greedyAccuracy, type GreedyAccuracy } from '../sft/accuracy';
import { withPinnedRewardModel } from '../running/reward-model';
import { withDownloads } from '../with-downloads';
import { showUnappliedSettings } from '../shown/unapplied-settings';
import { localGenerator } from '../sft/local-generator';
import { dated } from '../start-day';
import { recipeDirs } from '../recipe-dirs';

export interface EvaluateOptions {
  task: string;
  samples?: number;
  json?: boolean;
}

/** Failed samples that are named one by one on a terminal. */
const NAMED_FAILURES = 8;

/**
 * `forge eval MODEL --task RECIPE`: greedy accuracy on the held-out samples of a recipe's task, by its rollout where it has one
 * of its own, or where a server generates. A sample that can't be answered or judged is named, and counts as wrong unless what should have judged it was at
 * fault.
 *
 * @throws {ForgeError} CONFIG_INVALID where agents elsewhere make the rollouts.
 */
export async function evaluate(
  name: string,
  options: EvaluateOptions,
  overrides: readonly string[],
): Promise<number> {
  const recipe = await withPinnedRewardModel(
    dated(loadRecipe(options.task, overrides, { searchDirs: recipeDirs() }), new Date()),
  );
  if (recipe.rollout.sessions) {
    const message = `rollout.sessions: agents elsewhere take no held-out samples of ${options.task}; rollout.command starts an agent for each`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'rollout.sessions' });
  }
  const { dir, model: pinned } = await withDownloads((watch) => modelFolder(name, watch));
  const model = await loadModel(dir, { date: recipe.date });
  showUnappliedSettings(model);
  const task = await withDownloads((watch) => pinnedTask(recipe.task, watch));
  const samples = (await loadTask({ ...recipe, task })).heldOut.slice(
    0,
    options.samples ?? recipe.evaluation.samples,
  );
  if (samples.length === 0) {
    process.stderr.write(`forge: the task of ${options.task} has no held-out samples\n`);
    return 2;
  }
  const { engine } = recipe.policy;
  const { accuracy, failed } =
    hasOwnRollout(recipe) || typeof engine !== 'string'
      ? await accuracyOfRollouts({ ...recipe, task }, model, samples)
      : await accuracyOfAnswers(recipe, { ...recipe.policy, engine }, model, samples);
  for (const { id, code, message, isUnjudged } of failed.slice(0, NAMED_FAILURES)) {
    const counts = isUnjudged ? 'is left out' : 'counts as wrong';
    process.stderr.write(`forge: sample ${id} ${counts}: ${message} [${code}]\n`);
  }
  if (failed.length > NAMED_FAILURES)
    process.stderr.write(
      `forge: ${failed.length - NAMED_FAILURES} more samples could not be answered or judged; --json names all\n`,
    );
  const result = {
    model: pinned,
    task: recipe.name,
    reward: recipe.evaluation.reward,
    samples: samples.length,
    accuracy,
    failed,
  };
  const aside = failed.length === 0 ? '' : `; ${failed.length} could not be answered or judged`;
  const words = `${(100 * accuracy).toFixed(1)} % of ${samples.length} held-out samples (${recipe.evaluation.reward})${aside}`;
  process.stdout.write(`${options.json ? JSON.stringify(result) : words}\n`);
  return 0;
}

/** Greedy accuracy of single answers, in this process. */
async function accuracyOfAnswers(
  recipe: Recipe,
  engine: AskedEngine,
  model: LoadedModel,
  samples: readonly Sample[],
): Promise<GreedyAccuracy> {
  const rewards = await openRewards(recipe);
  const generator = await localGenerator(model, engine, 'policy');
  const result = await greedyAccuracy(
    generator,
    samples,
    rewards.handle,
    recipe.evaluation.reward,
    recipe.sampling.maxTokens,
  ).finally(() => rewards.close());
  await generator.close();
  return result;
}
