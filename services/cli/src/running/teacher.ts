import type { Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import {
  loadModel,
  modelFolder,
  tokenizerDifference,
  type LoadedModel,
  type ModelConfig,
} from '@forge/model';
import { withDownloads } from '../with-downloads';

/**
 * The model that `reference.model` names, checked against the policy's, and the recipe that names it for good; null where the
 * reference is the policy's own.
 *
 * @throws {ForgeError} CONFIG_INVALID when its tokenizer is another one, naming the first token that differs, it has too few
 *   embeddings, or more tokens are to be compared than there are; as `modelFolder` and `loadModel`.
 */
export async function loadTeacher(
  recipe: Recipe,
  model: LoadedModel,
): Promise<{ recipe: Recipe; config: ModelConfig } | null> {
  const named = recipe.reference.model;
  if (named === undefined) return null;
  const folder = await withDownloads((watch) => modelFolder(named, watch));
  const teacher = await loadModel(folder.dir, { date: recipe.date });
  const difference = tokenizerDifference(model, teacher);
  if (difference !== null) {
    const message = `found ${named}, which has another tokenizer than model: ${difference}; take a teacher of the same family, which reads the same tokens`;
    throw refused(message);
  }
  const [rows, needed] = [teacher.config.vocabSize, model.config.vocabSize];
  if (rows < needed) {
    throw refused(`found ${named} with ${rows} embeddings, expected at least the ${needed} of model`);
  }
  const { algorithm } = recipe;
  const { vocabSize } = model.tokenizer;
  if (algorithm.name === 'opd' && algorithm.teacherTop > vocabSize) {
    const message = `algorithm.teacherTop: found ${algorithm.teacherTop}, expected at most the ${vocabSize} tokens of model`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'algorithm.teacherTop' });
  }
  return {
    recipe: { ...recipe, reference: { ...recipe.reference, model: folder.model } },
    config: teacher.config,
  };
}

function refused(message: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `reference.model: ${message}`, { field: 'reference.model' });
}
