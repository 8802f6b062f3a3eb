import type { RewardConfig, RewardModelConfig } from '@forge/config';
import { loadRewards } from '@forge/recipe-parts';
import type { RewardHandle } from '@forge/rl';
import { ModelReward } from './model-reward';

/** Rewards that hold threads. */
export interface OpenRewards {
  /** The rewards as one: their weighted sum and each by name. */
  handle: RewardHandle;
  close(): Promise<void>;
}

/**
 * The rewards of a recipe, its reward model in a thread. `date`: the day told to its chat template where that asks for it.
 *
 * @throws {ForgeError} as `loadRewards` and `ModelReward.open`.
 */
export async function openRewards({
  rewards,
  date,
}: {
  rewards: RewardConfig[];
  date?: string | undefined;
}): Promise<OpenRewards> {
  const models: ModelReward[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(models.map((model) => model.close()));
  };
  const openModel = async (config: RewardModelConfig): Promise<ModelReward> => {
    const model = await ModelReward.open({ ...config, date });
    models.push(model);
    return model;
  };
  try {
    return { handle: await loadRewards({ rewards }, openModel), close };
  } catch (error) {
    await close();
    throw error;
  }
}
