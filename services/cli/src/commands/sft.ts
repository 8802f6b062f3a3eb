import { loadSftRecipe } from '@forge/config';
import { saveModel } from '@forge/model';
import { loadTask, pinnedTask } from '@forge/recipe-parts';
import { parametersHash } from '@forge/weights';
import { recipeDirs } from '../recipe-dirs';
import { createFromRecipe, trainSupervised } from '../sft/supervised-training';
import { withDownloads } from '../with-downloads';
import { dated } from '../start-day';
import { duration } from '@forge/runs';

/** `forge sft RECIPE`: trains a new model to imitate the task's answers and writes it. */
export async function sft(recipeName: string, overrides: readonly string[]): Promise<number> {
  const recipe = dated(loadSftRecipe(recipeName, overrides, { searchDirs: recipeDirs() }), new Date());
  const pinned = await withDownloads((watch) => pinnedTask(recipe.task, watch));
  const task = await loadTask({ ...recipe, task: pinned });
  const interrupt = new AbortController();
  process.once('SIGINT', () => {
    interrupt.abort();
  });
  const startedAtMs = performance.now();
  const model = await trainSupervised(
    recipe,
    task,
    createFromRecipe(recipe),
    ({ step, loss, accuracy }) => {
      if (accuracy === undefined) return;
      const elapsed = duration(performance.now() - startedAtMs);
      process.stdout.write(
        `step ${step}/${recipe.steps}  loss ${loss.toFixed(4)}  accuracy ${(100 * accuracy).toFixed(1)} %  elapsed ${elapsed}\n`,
      );
    },
    interrupt.signal,
  );
  await saveModel(recipe.output, model, { dtype: recipe.trainer.dtype });
  process.stdout.write(`saved ${recipe.output} (weights ${parametersHash(model.parameters).slice(0, 12)})\n`);
  return interrupt.signal.aborted ? 130 : 0;
}
