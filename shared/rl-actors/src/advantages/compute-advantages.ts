import { endpoint, ForgeActor } from '@forge/actors';
import { algorithmSchema, parseConfig, type AlgorithmInput } from '@forge/config';
import { rolloutsOf, type Episode, type Worth } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { wholeRollouts, worthsOfParts, type Algorithm } from '@forge/rl';
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
   * Rewards alone are enough for an algorithm that looks at nothing else; give others the whole episodes. Parts of a rollout
   * have its worth.
   *
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE for a rollout of several parts of which only rewards are given.
   */
  @endpoint({ concurrent: true, idempotent: true })
  compute(group: readonly (number | Pick<Episode, 'reward'>)[]): Worth[] {
    const episodes = group.map((one) => (typeof one === 'number' ? { reward: one } : one)) as Episode[];
    const lengths = rolloutsOf(episodes).map((parts) => parts.map(lengthOf));
    const cut = lengths.findIndex((parts) => parts.length > 1 && parts.includes(0));
    if (cut >= 0) throw withoutTokens(cut);
    const rollouts = wholeRollouts(episodes);
    return worthsOfParts(this.algorithm.advantage(this.algorithm.shape(rollouts), rollouts), lengths);
  }
}

/** Edge: an episode of which only the reward is given -> 0. */
function lengthOf({ tokenIds }: Partial<Pick<Episode, 'tokenIds'>>): number {
  return tokenIds?.length ?? 0;
}

function withoutTokens(rollout: number): ForgeError {
  const message = `rollout ${rollout} of the group has several parts: give its whole episodes, not the rewards alone`;
  return new ForgeError('CONTRACT_INVALID_MESSAGE', message, { rollout });
}
