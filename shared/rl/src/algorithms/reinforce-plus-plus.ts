/*
 * REINFORCE++ (Hu et al., 2025): rewards whitened over the whole batch in place of a baseline by prompt. Differs from the paper:
 * - no KL in the reward unless asked for (klCoefficient, klIn: reward), where it is taken off token by token, undiscounted;
 * - whitened by the variance of the population, as in the authors' OpenRLHF; 'unbiased' is verl's.
 */
import type { Advantage, Algorithm } from './algorithm';
import { rewardToGo } from '../advantages/reward-to-go';
import { whiten, type WhitenOptions } from '../advantages/whiten';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import { policyAlgorithm, tokenCosts, type PolicyOptions } from './policy-algorithm';

export type ReinforcePlusPlusOptions = ClipOptions & PolicyOptions & WhitenOptions;

export function reinforcePlusPlus(options: ReinforcePlusPlusOptions = {}): Algorithm {
  const isByToken = options.klIn === 'reward' && (options.klCoefficient ?? 0) > 0;
  const returns: Advantage = (rewards, episodes) =>
    rewards.map((reward, i) => rewardToGo(reward, episodes[i]!, tokenCosts(episodes[i]!, options)));
  return policyAlgorithm(options, {
    name: 'reinforce++',
    advantage: isByToken ? returns : (rewards) => [...rewards],
    costsTokens: true,
    acrossBatch: whiten(options),
    // The baseline is the batch's, so that a group of equal rewards has a gradient too.
    isInformative: () => true,
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
