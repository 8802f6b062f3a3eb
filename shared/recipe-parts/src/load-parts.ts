import {
  namedSecret,
  rewardName,
  type Recipe,
  type RewardConfig,
  type RewardModelConfig,
  type TaskConfig,
} from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { DownloadWatch } from '@forge/downloads';
import {
  answerReward,
  arithmeticTask,
  checkAlgorithm,
  checkLosses,
  checkReward,
  combineRewards,
  exactReward,
  formatReward,
  jsonReward,
  lengthReward,
  mathReward,
  promptsTask,
  thinkingReward,
  wordsReward,
  type Algorithm,
  type Reward,
  type RewardHandle,
  type Task,
} from '@forge/rl';
import { builtInAlgorithm } from './built-in-algorithm';
import { judgeReward } from './judge/judge-reward';
import { fromModule } from './from-module';
import { datasetTask, pinnedDataset } from './data/dataset-task';
import { codeReward } from './sandbox/code-reward';

/**
 * The algorithm a recipe names: a built-in one, or the user's module.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE; CONFIG_LOSS_INVALID when the loss of the user's can't be trained.
 */
export async function loadAlgorithm({ algorithm }: Pick<Recipe, 'algorithm'>): Promise<Algorithm> {
  if (algorithm.name !== 'module') return builtInAlgorithm(algorithm);
  const { module, options } = algorithm;
  const own = checkAlgorithm(await fromModule(module, options), module);
  checkLosses(own, module);
  return own;
}

/**
 * The rewards of a recipe as one: their weighted sum and each by name. `openModel` opens its reward model; left out, the
 * rewards are only checked.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE, CONFIG_INVALID, what `openModel` throws.
 */
export async function loadRewards(
  { rewards }: Pick<Recipe, 'rewards'>,
  openModel: OpenModel = unopenedModel,
): Promise<RewardHandle> {
  const parts = await Promise.all(
    rewards.map(async (config) => ({ reward: await loadReward(config, openModel), weight: config.weight })),
  );
  return combineRewards(parts);
}

/** Opens a reward model, which takes the layer of models. */
type OpenModel = (config: RewardModelConfig) => Promise<Reward>;

const unopenedModel: OpenModel = ({ name }) =>
  Promise.resolve({
    name,
    score: () => {
      throw new ForgeError('BUG_INVARIANT', 'a reward model scores only where it was opened');
    },
  });

async function loadReward(config: RewardConfig, openModel: OpenModel): Promise<Reward> {
  switch (config.name) {
    case 'exact':
      return exactReward();
    case 'math':
      return mathReward(config);
    case 'answer':
      return answerReward(config);
    case 'json':
      return jsonReward(config);
    case 'thinking':
      return thinkingReward(config);
    case 'length':
      return lengthReward(config);
    case 'format':
      return formatReward(config);
    case 'words':
      return wordsReward(config);
    case 'code':
      return codeReward(config);
    case 'model':
      return openModel(config);
    case 'judge': {
      const { apiKeyEnv } = config;
      return judgeReward(
        config,
        apiKeyEnv === undefined ? null : namedSecret(apiKeyEnv, 'apiKeyEnv of the judge'),
      );
    }
    case 'module': {
      const own = checkReward(await fromModule(config.module, config.options), config.module);
      return { ...own, name: rewardName(config) };
    }
  }
}

/**
 * The source of samples that a recipe names.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE; CONFIG_DATASET_INVALID naming file and line, or both hashes of a file that has
 *   changed; for a data set of the hub as `pinnedDataset`.
 */
export async function loadTask({ task, seed }: { task: TaskConfig; seed: number }): Promise<Task> {
  switch (task.kind) {
    case 'arithmetic':
      return arithmeticTask({ ...task, seed });
    case 'dataset':
      return datasetTask(task, seed);
    case 'prompts':
      return promptsTask(task.prompts, { seed });
  }
}

/** The task that means the same samples for good: with hashes, and the commit and files of a data set (`pinnedDataset`). */
export async function pinnedTask(task: TaskConfig, watch?: DownloadWatch): Promise<TaskConfig> {
  return task.kind === 'dataset' ? pinnedDataset(task, watch) : task;
}
