/*
 * SAPO (Gao et al., "Soft Adaptive Policy Optimization", 2025): in place of a clip, a gate that closes gently as the ratio leaves 1,
 * faster for bad tokens. Differs from the paper:
 * - the ratio is to the behaviour policy unless a correction weighs for it, as in our GRPO.
 */
import { div, greater, mul, neg, sigmoid, sub, where } from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { importanceRatio } from '../losses/importance-ratio';
import type { Surrogate } from '../losses/policy-loss';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface SapoTemperatures {
  /** For tokens with a positive advantage. */
  positiveTemperature?: number | undefined;
  /** For the others; larger, since their gradients spread over the whole vocabulary. */
  negativeTemperature?: number | undefined;
}

export type SapoOptions = SapoTemperatures & PolicyOptions & GroupRelativeOptions;

export function sapoSurrogate({
  positiveTemperature = 1,
  negativeTemperature = 1.05,
}: SapoTemperatures = {}): Surrogate {
  return ({ logprobs, advantages }, anchor) => {
    const zeros = mul(advantages, 0);
    const isPositive = greater(advantages, 0);
    const temperature = where(isPositive, sub(positiveTemperature, zeros), negativeTemperature);
    const gate = sigmoid(mul(temperature, sub(importanceRatio(logprobs, anchor), 1)));
    return { perToken: neg(mul(advantages, div(mul(gate, 4), temperature))) };
  };
}

export function sapo(options: SapoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'sapo',
    advantage: groupRelativeAdvantage(options),
    surrogate: sapoSurrogate(options),
    normalization: 'sequence',
  });
}
