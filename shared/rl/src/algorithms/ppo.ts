/*
 * PPO (Schulman et al., 2017) with a value model, as in RLHF: the reward of an episode is its last token's, and generalised
 * advantage estimation spreads it by what the values expected. Differs from the paper:
 * - the value model has weights of its own, which start as the policy's, and a head that starts at zero; its optimizer and
 *   learning rate are its own too, so that there is no coefficient between the two losses;
 * - the clipped ratio is to the behaviour policy unless `ratioTo` says otherwise, since data may be several versions old;
 * - one update a batch unless `updatesPerBatch` and `minibatches` ask for more;
 * - gamma and lambda are 1, as in verl and OpenRLHF, and advantages are whitened by the unbiased variance, as in verl;
 * - values are clipped as in OpenAI's baselines;
 * - no KL in the reward unless asked for (klCoefficient, klIn: reward), where it is taken off token by token.
 */
import type { VarianceEstimator } from '../advantages/statistics';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import { valueLoss } from '../losses/value-loss';
import type { Advantage, Algorithm } from './algorithm';
import { policyAlgorithm, tokenCosts, type PolicyOptions } from './policy-algorithm';

export interface PpoCriticOptions {
  /** Discount per token. */
  gamma?: number | undefined;
  /** Weight of longer returns: 0 trusts the values alone, 1 the rewards alone. */
  lambda?: number | undefined;
  /** Farthest that a value may move within a batch and be rewarded for it; null: as far as it likes. */
  valueClip?: number | null | undefined;
  whitening?: VarianceEstimator | 'none' | undefined;
  /** Left out: the policy's. */
  learningRate?: number | undefined;
}

export interface PpoOptions extends ClipOptions, PolicyOptions {
  critic?: PpoCriticOptions | undefined;
}

export function ppo(options: PpoOptions = {}): Algorithm {
  const {
    gamma = 1,
    lambda = 1,
    valueClip = 0.2,
    whitening = 'unbiased',
    learningRate,
  } = options.critic ?? {};
  const isByToken = options.klIn === 'reward' && (options.klCoefficient ?? 0) > 0;
  const byToken: Advantage = (rewards, episodes) =>
    episodes.map((episode, i) => {
      const worths = tokenCosts(episode, options);
      worths[episode.mask.lastIndexOf(1)]! += rewards[i]!;
      return worths;
    });
  return policyAlgorithm(options, {
    name: 'ppo',
    advantage: isByToken ? byToken : (rewards) => [...rewards],
    costsTokens: true,
    // The baseline is the value model's, so that a group of equal rewards has a gradient too.
    isInformative: () => true,
    critic: {
      ...{ gamma, lambda, whitening },
      learningRate: learningRate ?? null,
      loss: valueLoss({ valueClip: valueClip ?? undefined }),
    },
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
