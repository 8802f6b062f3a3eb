import { join } from 'node:path';
import { batched } from '@forge/actors';
import type { RewardModelConfig } from '@forge/config';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Conversation } from '@forge/model';
import type { Reward } from '@forge/rl';
import type { WorkerHandle } from '@forge/threads';
import { openWorker } from '../open-worker';
import type { ModelRewardApi, ModelScore } from './model-reward-worker';

/** A reward model, and the day told to its chat template where that asks for it (YYYY-MM-DD). */
export interface ModelRewardSettings extends RewardModelConfig {
  date: string | undefined;
}

/** Conversations of one call to the thread: later ones wait no longer than these take. */
const MAX_CALL = 64;

/** The score that a sequence classifier gives prompt and completion, in a thread of its own. */
export class ModelReward implements Reward {
  readonly name = 'model';
  private readonly ask: (conversation: Conversation) => Promise<ModelScore>;

  private constructor(
    private readonly worker: WorkerHandle<ModelRewardApi>,
    private readonly settings: ModelRewardSettings,
  ) {
    this.ask = batched((conversations) => worker.call('score', conversations), {
      maxBatch: MAX_CALL,
      serial: true,
    });
  }

  /** @throws {ForgeError} what `loadModel` and `engineFor` throw. */
  static async open(settings: ModelRewardSettings): Promise<ModelReward> {
    return new ModelReward(await openWorker(join(__dirname, 'model-reward-worker'), settings), settings);
  }

  /**
   * Completions that are asked for while others are scored are scored together.
   *
   * @throws {ForgeError} CAPACITY_PROMPT_TOO_LONG unless longer ones are cut; CONFIG_DATASET_INVALID when the chat template
   *   refuses the messages.
   */
  async score({ prompt }: Sample, text: string): Promise<number> {
    const result = await this.ask({ prompt, answer: text });
    if ('error' in result) throw ForgeError.fromWire(result.error);
    const { mean, std } = this.settings;
    return (result.score - mean) / std;
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }
}
