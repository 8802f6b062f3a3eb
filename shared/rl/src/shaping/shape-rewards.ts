import type { Episode } from '@forge/contracts';
import { componentRewards, type RewardWeights } from './component-rewards';
import { divergenceOf, type DivergenceOptions } from '../losses/divergence';
import { lengthPenalty, type LengthPenalty } from './length-penalty';
import { overlongPenalty, type OverlongPenalty } from './overlong-penalty';
import { chosenTokens } from './tokens';

export interface ShapingOptions {
  overlong?: OverlongPenalty | undefined;
  length?: LengthPenalty | undefined;
  /** Each reward function in units of its group's standard deviation before they are added up. */
  normalizeComponents?: boolean | undefined;
  /** Weights for that. Left out: 1 each. */
  weights?: RewardWeights | undefined;
}

/**
 * The rewards of a group that its advantages are made from: normalised by component first, then what lengths add.
 *
 * Shapes: episodes [G] -> [G].
 */
export function shapeRewards(options: ShapingOptions): (episodes: readonly Episode[]) => number[] {
  const { overlong, length, normalizeComponents = false, weights } = options;
  const readsLengths = length !== undefined || overlong?.maxTokens !== undefined;
  return (episodes) => {
    const rewards = normalizeComponents
      ? componentRewards(episodes, weights)
      : episodes.map(({ reward }) => reward);
    if (!readsLengths) return rewards;
    const tokens = episodes.map(chosenTokens);
    const added = length === undefined ? rewards.map(() => 0) : lengthPenalty(rewards, tokens, length);
    return rewards.map(
      (reward, i) =>
        reward + added[i]! + (overlong === undefined ? 0 : overlongPenalty(tokens[i]!, overlong)),
    );
  };
}

/**
 * Cost of each token of an episode for being unlike the reference model: minus `coefficient` times its divergence.
 *
 * Shapes: [T], 0 where the mask is 0.
 */
export function divergenceCosts(
  { mask, logprobs, referenceLogprobs }: Pick<Episode, 'mask' | 'logprobs' | 'referenceLogprobs'>,
  coefficient: number,
  options: DivergenceOptions,
): number[] {
  return Array.from(mask, (chosen, t) =>
    chosen === 1 && referenceLogprobs !== undefined
      ? -coefficient * divergenceOf(logprobs[t]!, referenceLogprobs[t]!, options)
      : 0,
  );
}
