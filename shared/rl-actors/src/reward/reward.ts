import { endpoint, ForgeActor } from '@forge/actors';
import { parseConfig, rewardSchema, rewardTimeoutMs, type RewardInput } from '@forge/config';
import {
  check,
  completionSchema,
  sampleSchema,
  type Completion,
  type Sample,
  type ScoreItem,
} from '@forge/contracts';
import { ActivityClock } from '@forge/telemetry';
import { z } from 'zod';
import { openRewards, type OpenRewards } from './open-rewards';
import { scoreEach, type ScoreResult } from './score';

const rewardActorSchema = z.strictObject({
  rewards: z.array(rewardSchema),
  timeoutMs: rewardTimeoutMs,
  date: z.iso.date().optional(),
});

export interface RewardActorConfig {
  /** Built-in ones by name, the user's by `module`; their weighted sum is the reward. */
  rewards: readonly RewardInput[];
  /** How long the rewards of one completion may take together; default 60,000. */
  timeoutMs?: number;
  /** Date that the chat template of a reward model is told where it asks for it, as YYYY-MM-DD. */
  date?: string;
}

/** Judges completions by one or several reward functions. */
export class Reward extends ForgeActor {
  private readonly settings: z.output<typeof rewardActorSchema>;
  private rewards!: OpenRewards;
  private readonly activity = new ActivityClock(['busy']);

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` CONFIG_MODULE_UNLOADABLE and what `openRewards` throws. */
  constructor(config: RewardActorConfig) {
    super();
    this.settings = parseConfig(rewardActorSchema, config, 'RewardActorConfig');
  }

  override async setup(): Promise<void> {
    this.rewards = await openRewards(this.settings);
  }

  override async cleanup(): Promise<void> {
    await this.rewards.close();
  }

  /** The weighted sum of the rewards. @throws what a reward throws; NUMERIC_NON_FINITE when one is not finite. */
  @endpoint({ concurrent: true, idempotent: true })
  async evaluateResponse(sample: Sample, completion: Completion): Promise<number> {
    const item = {
      sample: check(sampleSchema, sample, 'sample'),
      completion: check(completionSchema, completion, 'completion'),
    };
    return (await this.rewards.handle.score(item.sample, item.completion)).reward;
  }

  /** Weighted sum and raw values of each item, in order; the error of an item that can't be scored in its place. */
  @endpoint({ concurrent: true, idempotent: true })
  async score(items: readonly ScoreItem[]): Promise<ScoreResult[]> {
    return this.activity.during('busy', () => scoreEach(this.rewards.handle, items, this.settings.timeoutMs));
  }

  /** Time in which something was scored since the start, `busyMs`, and the rest, `idleMs`. */
  @endpoint({ concurrent: true, idempotent: true })
  stats(): Record<string, number> {
    return this.activity.totals();
  }
}
