import {
  hashFile,
  linesOf,
  loadModule,
  readText,
  rewardName,
  type Recipe,
  type RewardConfig,
  type TaskConfig,
} from '@forge/config';
import { ForgeError } from '@forge/errors';
import {
  answerReward,
  arithmeticTask,
  checkAlgorithm,
  checkLoss,
  checkReward,
  combineRewards,
  exactReward,
  formatReward,
  grpo,
  jsonlTask,
  lengthReward,
  mathReward,
  promptsTask,
  reinforce,
  thinkingReward,
  wordsReward,
  type Algorithm,
  type Reward,
  type RewardHandle,
  type Task,
} from '@forge/rl';
import { codeReward } from './sandbox/code-reward';

/**
 * The algorithm a recipe names: a built-in one, or the user's module.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE; CONFIG_LOSS_INVALID when the loss of the user's can't be trained.
 */
export async function loadAlgorithm({ algorithm }: Pick<Recipe, 'algorithm'>): Promise<Algorithm> {
  switch (algorithm.name) {
    case 'grpo':
      return grpo(algorithm);
    case 'reinforce':
      return reinforce(algorithm);
    case 'module': {
      const { module, options } = algorithm;
      const own = checkAlgorithm(await fromModule(module, options), module);
      checkLoss(own.loss, module);
      return own;
    }
  }
}

/**
 * The rewards of a recipe as one: their weighted sum and each by name.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE, CONFIG_INVALID
 */
export async function loadRewards({ rewards }: Pick<Recipe, 'rewards'>): Promise<RewardHandle> {
  const parts = await Promise.all(
    rewards.map(async (config) => ({ reward: await loadReward(config), weight: config.weight })),
  );
  return combineRewards(parts);
}

async function loadReward(config: RewardConfig): Promise<Reward> {
  switch (config.name) {
    case 'exact':
      return exactReward();
    case 'math':
      return mathReward(config);
    case 'answer':
      return answerReward(config);
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
    case 'module': {
      const own = checkReward(await fromModule(config.module, config.options), config.module);
      return { ...own, name: rewardName(config) };
    }
  }
}

/** A user's module exports a factory, or the thing itself. */
async function fromModule(path: string, options: Record<string, unknown>): Promise<unknown> {
  const exported = await loadModule(path);
  if (typeof exported !== 'function') return exported;
  try {
    return await (exported as (options: Record<string, unknown>) => unknown)(options);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError(
      'CONFIG_MODULE_UNLOADABLE',
      `the factory of ${path} failed: ${reason}`,
      { path },
      { cause },
    );
  }
}

/**
 * The source of samples that a recipe names.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE; CONFIG_DATASET_INVALID naming file and line, or both hashes of a file that has
 *   changed.
 */
export function loadTask({ task, seed }: { task: TaskConfig; seed: number }): Task {
  switch (task.kind) {
    case 'arithmetic':
      return arithmeticTask({ ...task, seed });
    case 'jsonl': {
      const { path, heldOutPath, sha256, heldOutSha256 } = task;
      const heldOutFile =
        heldOutPath === undefined
          ? undefined
          : { path: heldOutPath, lines: readLines(heldOutPath, heldOutSha256) };
      return jsonlTask(readLines(path, sha256), { ...task, heldOutFile, seed });
    }
    case 'prompts':
      return promptsTask(task.prompts, { seed });
  }
}

function readLines(path: string, sha256: string | undefined): string[] {
  return linesOf(readText(path, { code: 'CONFIG_DATASET_INVALID', sha256 }));
}

/**
 * The task with the hashes of its files, which refuses changed ones from then on. Hashes it has already stay.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE
 */
export function withDataHashes(task: TaskConfig): TaskConfig {
  if (task.kind !== 'jsonl') return task;
  const { path, heldOutPath, sha256 = hashFile(path) } = task;
  if (heldOutPath === undefined) return { ...task, sha256 };
  return { ...task, sha256, heldOutSha256: task.heldOutSha256 ?? hashFile(heldOutPath) };
}
