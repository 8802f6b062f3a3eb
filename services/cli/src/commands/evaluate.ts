import { loadRecipe } from '@forge/config';
import { loadModel } from '@forge/model';
import { loadRewards, loadTask } from '@forge/recipe-parts';
import { greedyAccuracy } from '../sft/accuracy';
import { localGenerator } from '../sft/local-generator';
import { recipeDirs } from '../recipe-dirs';

export interface EvaluateOptions {
  task: string;
  samples?: number;
  json?: boolean;
}

/** `forge eval MODEL --task RECIPE`: greedy accuracy on the held-out samples of a recipe's task. */
export async function evaluate(
  dir: string,
  options: EvaluateOptions,
  overrides: readonly string[],
): Promise<number> {
  const recipe = loadRecipe(options.task, overrides, { searchDirs: recipeDirs() });
  const [model, rewards] = [await loadModel(dir), await loadRewards(recipe)];
  const samples = loadTask(recipe).heldOut.slice(0, options.samples ?? recipe.evaluation.samples);
  if (samples.length === 0) {
    process.stderr.write(`forge: the task of ${options.task} has no held-out samples\n`);
    return 2;
  }
  const generator = await localGenerator(model, recipe.policy.threads);
  const accuracy = await greedyAccuracy(
    generator,
    samples,
    rewards,
    recipe.evaluation.reward,
    recipe.sampling.maxTokens,
  );
  await generator.close();
  const result = {
    model: dir,
    task: recipe.name,
    reward: recipe.evaluation.reward,
    samples: samples.length,
    accuracy,
  };
  process.stdout.write(
    options.json
      ? `${JSON.stringify(result)}\n`
      : `${(100 * accuracy).toFixed(1)} % of ${samples.length} held-out samples (${recipe.evaluation.reward})\n`,
  );
  return 0;
}
