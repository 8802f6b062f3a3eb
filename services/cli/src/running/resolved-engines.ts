import { usesReference, type Recipe } from '@forge/config';
import { checkInstalled, chooseEngine, type EngineChoice } from '@forge/engine';

/** Work of the services of each section. */
const WORK = { trainer: 'training', policy: 'generation', reference: 'scoring' } as const;
const COMPUTING = ['trainer', 'policy', 'reference'] as const;

type Section = (typeof COMPUTING)[number];

function computing(recipe: Recipe): Section[] {
  return COMPUTING.filter((section) => section !== 'reference' || usesReference(recipe));
}

/**
 * The recipe with an engine by name in place of each `auto`, for a model with so many parameters and a reference with as many
 * unless it is another one: whoever goes on with the run later computes as it began.
 *
 * @throws {ForgeError} as `chooseEngine`.
 */
export function withEngines(recipe: Recipe, parameters: number, ofReference = parameters): Recipe {
  const chosen = (name: Section): EngineChoice => ({
    ...recipe[name],
    engine: chooseEngine(
      recipe[name],
      { kind: WORK[name], parameters: name === 'reference' ? ofReference : parameters },
      name,
    ),
  });
  const sections = computing(recipe).map((name) => [name, chosen(name)]);
  return { ...recipe, ...(Object.fromEntries(sections) as Partial<Recipe>) };
}

/**
 * Checks that this machine has the engines of a recipe.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED naming the field, and the command that installs it.
 */
export function requireEngines(recipe: Recipe): void {
  for (const name of computing(recipe)) checkInstalled(recipe[name], name);
}
