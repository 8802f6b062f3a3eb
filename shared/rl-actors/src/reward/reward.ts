import { endpoint, ForgeActor } from '@forge/actors';
import { parseConfig, rewardSchema, rewardTimeoutMs, type RewardInput } from '@forge/config';
import type { Completion, Sample } from '@forge/contracts';
import type { RewardHandle } from '@forge/rl';
import { loadRewards } from '../recipe/run-parts';
import { z } from 'zod';
import { scoreEach, type ScoreItem, type ScoreResult } from './score';

const rewardActorSchema = z.strictObject({
  rewards: z.array(rewardSchema).min(1),
  timeoutMs: rewardTimeoutMs,
});

export interface RewardActorConfig {
  /** Built-in ones by name, the user's by `module`; their weighted sum is the reward. */
  rewards: readonly RewardInput[];
  /** How long the rewards of one completion may take together; default 60,000. */
  timeoutMs?: number;
}

/** Judges completions by one or several reward functions. */
export class Reward extends ForgeActor {
  private readonly settings: z.output<typeof rewardActorSchema>;
  private rewards!: RewardHandle;
  private busyMs = 0;

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` CONFIG_MODULE_UNLOADABLE. */
  constructor(config: RewardActorConfig) {
    super();
    this.settings = parseConfig(rewardActorSchema, config, 'RewardActorConfig');
  }

  override async setup(): Promise<void> {
    this.rewards = await loadRewards(this.settings);
  }

  /** The weighted sum of the rewards. @throws what a reward throws; NUMERIC_NON_FINITE when one is not finite. */
  @endpoint({ concurrent: true, idempotent: true })
  async evaluateResponse(sample: Sample, completion: Completion): Promise<number> {
    return (await this.rewards.score(sample, completion)).reward;
  }

  /** Weighted sum and raw values of each item, in order; the error of an item that can't be scored in its place. */
  @endpoint({ concurrent: true, idempotent: true })
  async score(items: readonly ScoreItem[]): Promise<ScoreResult[]> {
    const startedAt = performance.now();
    const results = await scoreEach(this.rewards, items, this.settings.timeoutMs);
    this.busyMs += performance.now() - startedAt;
    return results;
  }

  /** Time spent on scoring since the start. */
  @endpoint({ concurrent: true, idempotent: true })
  stats(): { busyMs: number } {
    return { busyMs: this.busyMs };
  }
}
