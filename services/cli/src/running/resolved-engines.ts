import { rewardModelOf, storedRecipe, usesReference, withRewardModel, type Recipe } from '@forge/config';
import { checkInstalled, chooseEngine, requireTorch, type EngineChoice } from '@forge/engine';
import { parameterCount } from '@forge/model';
import type { RunModels } from '../planning/memory-plan';

/** Work of the services of each section. */
const WORK = { trainer: 'training', policy: 'generation', reference: 'scoring' } as const;
const COMPUTING = ['trainer', 'policy', 'reference'] as const;

type Section = (typeof COMPUTING)[number];

/** The choices of the services that compute on this machine by an engine of ours, by section. */
function computing(recipe: Recipe): [Section, EngineChoice][] {
  return COMPUTING.flatMap((section): [Section, EngineChoice][] => {
    const { engine, ...where } = recipe[section];
    if (typeof engine !== 'string' || engine === 'torch') return [];
    if (section === 'reference' && !usesReference(recipe)) return [];
    return [[section, { ...where, engine }]];
  });
}

/**
 * The recipe with an engine by name in place of each `auto`, for models of these shapes: whoever goes on with the run later
 * computes as it began.
 *
 * @throws {ForgeError} as `chooseEngine`.
 */
export function withEngines(recipe: Recipe, models: RunModels): Recipe {
  const { config, reference, rewardModel } = models;
  const sections = computing(recipe).map(([name, choice]) => {
    const parameters = parameterCount(name === 'reference' ? reference : config);
    return [name, { ...recipe[name], engine: chooseEngine(choice, { kind: WORK[name], parameters }, name) }];
  });
  const resolved = { ...recipe, ...(Object.fromEntries(sections) as Partial<Recipe>) };
  const found = rewardModelOf(recipe);
  if (found === null || rewardModel === undefined) return resolved;
  const work = { kind: 'scoring', parameters: parameterCount(rewardModel) } as const;
  return withRewardModel(resolved, { engine: chooseEngine(found.reward, work, found.field) });
}

/**
 * Checks that this machine has the engines of a recipe.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED naming the field, and the command that installs it; CONFIG_INVALID for what the
 *   trainer in PyTorch does not take.
 */
export function requireEngines(recipe: Recipe): void {
  for (const [name, choice] of computing(recipe)) checkInstalled(choice, name);
  if (recipe.trainer.engine === 'torch') requireTorch(storedRecipe(recipe));
  const found = rewardModelOf(recipe);
  if (found !== null) checkInstalled(found.reward, found.field);
}
