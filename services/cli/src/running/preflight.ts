import type { Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { adapterShapes, loadModel, modelFolder, parameterCount, type LoadedModel } from '@forge/model';
import { loadAlgorithm, loadRewards, loadTask, pinnedTask } from '@forge/recipe-parts';
import { withDownloads } from '../with-downloads';
import { showUnappliedSettings } from '../shown/unapplied-settings';
import { requireEngines, withEngines } from './resolved-engines';

/**
 * Loads everything a recipe names, so that what is wrong with it is said before any process starts; what has a name on the
 * hub is downloaded, and named with its commit from then on. The recipe resolved, its model, and how many tokens the prompt
 * of the first sample has. `startsHere`: whether its services start on this machine, which then needs their engines.
 *
 * @throws {ForgeError} naming the field or file.
 */
export async function preflight(
  given: Recipe,
  { startsHere }: { startsHere: boolean },
): Promise<{ recipe: Recipe; promptTokens: number; model: LoadedModel }> {
  const [algorithm] = await Promise.all([loadAlgorithm(given), loadRewards(given)]);
  const named = { ...given, task: await withDownloads((watch) => pinnedTask(given.task, watch)) };
  const task = await loadTask(named);
  const { evaluation, sampling } = named;
  if (evaluation.everySteps > 0 && task.heldOut.length === 0) {
    throw new ForgeError(
      'CONFIG_INVALID',
      'evaluation.everySteps: the task has no held-out samples; set task.heldOut, task.heldOutPath or task.heldOutSplit, or evaluation.everySteps=0',
      { field: 'evaluation.everySteps' },
    );
  }
  const folder = await withDownloads((watch) => modelFolder(named.model, watch));
  const recipe = { ...named, model: folder.model };
  const model = await loadModel(folder.dir, { date: recipe.date });
  showUnappliedSettings(model);
  const { config, tokenizer } = model;
  if (recipe.adapter !== undefined) adapterShapes(config, recipe.adapter);
  const { length } = tokenizer.renderPrompt(task.sample(0).prompt).tokenIds;
  if (length + sampling.maxTokens > config.maxPositions) {
    throw new ForgeError(
      'CONFIG_INVALID',
      `sampling.maxTokens: found ${sampling.maxTokens}; a prompt of ${length} tokens leaves ${config.maxPositions - length} of the model's ${config.maxPositions} positions`,
      { field: 'sampling.maxTokens' },
    );
  }
  const resolved = withEngines(withReference(recipe, algorithm), parameterCount(config));
  if (startsHere) requireEngines(resolved);
  return { recipe: resolved, promptTokens: length, model };
}

/** The recipe with a reference model where the algorithm needs one, and else without. */
export function withReference(recipe: Recipe, { needsReference }: { needsReference: boolean }): Recipe {
  const { replicas } = recipe.reference;
  if (!needsReference) return { ...recipe, reference: { ...recipe.reference, replicas: 0 } };
  if (replicas > 0) return recipe;
  const message = 'reference.replicas: found 0; the algorithm needs log-probs under the reference model';
  throw new ForgeError('CONFIG_INVALID', message, { field: 'reference.replicas' });
}
