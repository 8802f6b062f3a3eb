import { endpoint, ForgeActor } from '@forge/actors';
import { algorithmSchema, parseConfig, type AlgorithmInput } from '@forge/config';
import type { Episode, Worth } from '@forge/contracts';
import type { Algorithm } from '@forge/rl';
import { loadAlgorithm } from '@forge/recipe-parts';
import { z } from 'zod';

const advantagesConfigSchema = z.strictObject({ algorithm: algorithmSchema.prefault({ name: 'grpo' }) });

export interface AdvantagesConfig {
  /** Whose advantages; GRPO's by default: in units of the group's standard deviation. */
  algorithm?: AlgorithmInput;
}

/** Says how much better than expected each answer of a group is. */
export class ComputeAdvantages extends ForgeActor {
  private readonly settings: z.output<typeof advantagesConfigSchema>;
  private algorithm!: Algorithm;

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` CONFIG_MODULE_UNLOADABLE. */
  constructor(config: AdvantagesConfig = {}) {
    super();
    this.settings = parseConfig(advantagesConfigSchema, config, 'AdvantagesConfig');
  }

  override async setup(): Promise<void> {
    this.algorithm = await loadAlgorithm(this.settings);
  }

  /**
   * The worth of each answer to the same prompt, before any second stage over a batch. Shapes: [G] to [G].
   *
   * Rewards alone are enough for an algorithm that looks at nothing else; give others the whole episodes.
   */
  @endpoint({ concurrent: true, idempotent: true })
  compute(group: readonly (number | Pick<Episode, 'reward'>)[]): Worth[] {
    const episodes = group.map((one) => (typeof one === 'number' ? { reward: one } : one)) as Episode[];
    return this.algorithm.advantage(this.algorithm.shape(episodes), episodes);
  }
}
