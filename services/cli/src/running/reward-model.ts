import { rewardModelOf, withRewardModel, type Recipe } from '@forge/config';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { conversationTokens, loadModel, modelFolder, type ModelConfig } from '@forge/model';
import { withDownloads } from '../with-downloads';

/** The recipe that names its reward model for good, downloaded where it is on the hub. */
export async function withPinnedRewardModel(recipe: Recipe): Promise<Recipe> {
  const found = rewardModelOf(recipe);
  if (found === null) return recipe;
  const { model } = await withDownloads((watch) => modelFolder(found.reward.model, watch));
  return withRewardModel(recipe, { model });
}

/**
 * The shape of the reward model that a recipe names, checked with a sample of its task and the longest answer; undefined where
 * there is none.
 *
 * @throws {ForgeError} CONFIG_INVALID when prompt and completion have no room in it; CONFIG_TOKENIZER_INVALID without a chat
 *   template for messages; as `loadModel`.
 */
export async function checkRewardModel(recipe: Recipe, sample: Sample): Promise<ModelConfig | undefined> {
  const found = rewardModelOf(recipe);
  if (found === null) return undefined;
  const { reward, field } = found;
  const { config, tokenizer } = await loadModel(reward.model, { date: recipe.date, head: 'score' });
  const { maxTokens = 0, truncation } = reward;
  if (maxTokens > config.maxPositions) {
    throw refused(
      `${field}.maxTokens`,
      `${maxTokens}, expected at most the ${config.maxPositions} positions of the model`,
    );
  }
  const most = conversationTokens(config, reward);
  const prompt = tokenizer.renderAnswered(sample.prompt, '').tokenIds.length;
  const { maxTokens: answer } = recipe.sampling;
  if (truncation === 'error' && prompt + answer > most) {
    const message = `error; a prompt of ${prompt} tokens and a completion of ${answer} have more than the ${most} that the reward model reads: lower sampling.maxTokens, or set start or end, which cut`;
    throw refused(`${field}.truncation`, message);
  }
  return config;
}

function refused(field: string, found: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `${field}: found ${found}`, { field });
}
