/*
 * Decoupled PPO (Hilton et al., 2021; Fu et al., "AReaL", 2025): the clip is around a proximal policy, and the data of the behaviour
 * policy is weighed to it, so that old data does not hold the policy back to where it was. Differs from AReaL:
 * - the proximal policy is by default that before the step; 'log-linear' takes it between behaviour and policy by their
 *   versions, as in AReaL's approximation, and needs no forward pass where a batch is several updates;
 * - a weight above `weightBound` is cut, as in truncated importance sampling, where AReaL leaves such a token out.
 */
import { add, cast, div, greater, minimum, mul, stopGradient, sub, type Tensor } from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import { importanceRatio } from '../losses/importance-ratio';
import type { LossTerms } from '../losses/loss';
import type { Surrogate } from '../losses/policy-loss';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface ProximalOptions {
  /** Source of the proximal policy. */
  proximal?: 'recomputed' | 'log-linear' | undefined;
  /** Largest weight proximal / behaviour; 5 as in AReaL. */
  weightBound?: number | undefined;
}

export type DecoupledPpoOptions = ProximalOptions &
  ClipOptions &
  Omit<PolicyOptions, 'ratioTo'> &
  GroupRelativeOptions;

/**
 * Log-probs of a policy between behaviour and the one being trained: lag / (lag + 1) of the way, which is where the policy
 * before the step would be if each version had moved as far. No gradient.
 */
export function logLinearProximal({ logprobs, behaviour, lag }: LossTerms): Tensor {
  const share = div(lag, add(lag, 1));
  return stopGradient(add(behaviour, mul(share, sub(logprobs, behaviour))));
}

export function decoupledSurrogate(options: ProximalOptions & ClipOptions = {}): Surrogate {
  const { proximal = 'recomputed', weightBound = 5 } = options;
  const clipped = clippedRatio(options);
  return (terms) => {
    const anchor = proximal === 'recomputed' ? terms.old : logLinearProximal(terms);
    const { perToken, metrics } = clipped(terms, anchor);
    const weight = stopGradient(importanceRatio(anchor, terms.behaviour));
    return {
      perToken: mul(perToken, minimum(weight, weightBound)),
      metrics: { ...metrics, masked_proximal: cast(greater(weight, weightBound), 'float32') },
    };
  };
}

export function decoupledPpo(options: DecoupledPpoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'decoupled-ppo',
    advantage: groupRelativeAdvantage(options),
    surrogate: decoupledSurrogate(options),
    normalization: 'token',
  });
}
