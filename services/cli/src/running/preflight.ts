import { hasTurns, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { adapterShapes, loadModel, modelFolder, type LoadedModel, type ModelConfig } from '@forge/model';
import {
  loadAgent,
  loadAlgorithm,
  loadRewards,
  loadRollout,
  loadTask,
  pinnedTask,
} from '@forge/recipe-parts';
import { promptMessages } from '@forge/rl';
import type { RunModels } from '../planning/memory-plan';
import { withDownloads } from '../with-downloads';
import { showUnappliedSettings } from '../shown/unapplied-settings';
import { requireEngines, withEngines } from './resolved-engines';
import { checkRewardModel, withPinnedRewardModel } from './reward-model';
import { checkServedPolicy, requireServers } from './served-policy';
import { loadTeacher } from './teacher';

/**
 * Loads everything a recipe names, so that what is wrong with it is said before any process starts; what has a name on the
 * hub is downloaded, and named with its commit from then on. The recipe resolved, its model, the shapes of all its models, and
 * how many tokens the prompt of the first sample has. `startsHere`: whether its services start on this machine, which then needs their engines.
 *
 * @throws {ForgeError} naming the field or file.
 */
export async function preflight(
  given: Recipe,
  { startsHere }: { startsHere: boolean },
): Promise<{ recipe: Recipe; promptTokens: number; model: LoadedModel; models: RunModels }> {
  const warning = checkServedPolicy(given);
  if (warning !== null) process.stderr.write(`forge: ${warning}\n`);
  const [algorithm] = await Promise.all([loadAlgorithm(given), loadRewards(given)]);
  await loadRollout(given, algorithm);
  if (startsHere) loadAgent(given);
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
  const model = await loadModel(folder.dir, { date: named.date });
  showUnappliedSettings(model);
  const { config, tokenizer } = model;
  if (named.adapter !== undefined) adapterShapes(config, named.adapter);
  const first = task.sample(0);
  // A conversation begins with messages, whatever the sample has.
  const prompt = hasTurns(named) ? promptMessages(first) : first.prompt;
  const { length } = tokenizer.renderPrompt(prompt).tokenIds;
  checkPositions(sampling.maxTokens, length, config, 'the model');
  const recipe = await withPinnedRewardModel(withReference({ ...named, model: folder.model }, algorithm));
  const teacher = await loadTeacher(recipe, model);
  if (teacher !== null) checkPositions(sampling.maxTokens, length, teacher.config, 'reference.model');
  const rewardModel = await checkRewardModel(recipe, first);
  const models = { config, reference: teacher?.config ?? config, rewardModel };
  const resolved = withEngines(teacher?.recipe ?? recipe, models);
  if (startsHere) {
    requireEngines(resolved);
    await requireServers(resolved);
  }
  return { recipe: resolved, promptTokens: length, model, models };
}

/** @throws {ForgeError} CONFIG_INVALID where prompt and completion have no room in a model. */
function checkPositions(
  maxTokens: number,
  prompt: number,
  { maxPositions }: ModelConfig,
  whose: string,
): void {
  if (prompt + maxTokens <= maxPositions) return;
  throw new ForgeError(
    'CONFIG_INVALID',
    `sampling.maxTokens: found ${maxTokens}; a prompt of ${prompt} tokens leaves ${maxPositions - prompt} of the ${maxPositions} positions of ${whose}`,
    { field: 'sampling.maxTokens' },
  );
}

/**
 * The recipe with a reference model where the algorithm needs one, and else without.
 *
 * @throws {ForgeError} CONFIG_INVALID where it needs one and has none, or names one that it does not need.
 */
export function withReference(recipe: Recipe, { needsReference }: { needsReference: boolean }): Recipe {
  const { replicas, model } = recipe.reference;
  if (!needsReference && model !== undefined) {
    const message = `reference.model: found ${model}, which nothing asks; leave it out, or take algorithm.name=opd or algorithm.klCoefficient above 0`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'reference.model' });
  }
  if (!needsReference) return { ...recipe, reference: { ...recipe.reference, replicas: 0 } };
  if (replicas > 0) return recipe;
  const message = 'reference.replicas: found 0; the algorithm needs log-probs under the reference model';
  throw new ForgeError('CONFIG_INVALID', message, { field: 'reference.replicas' });
}
