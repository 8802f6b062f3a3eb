/*
 * DRO (Richemond et al., "Offline Regularised Reinforcement Learning for LLMs Alignment", 2024): raises the log-probs of good
 * tokens against a quadratic penalty of their distance to the policy that generated, with no ratio at all. Differs from the
 * paper:
 * - the group's mean is the baseline, where the paper learns a value; by token, as in Tinker and verl.
 */
import { mul, neg, sub } from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import type { Surrogate } from '../losses/policy-loss';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface DroPenalty {
  /** Weight of the squared log-ratio: no paper's default, since it depends on the scale of rewards; 0.05 is ours. */
  beta?: number | undefined;
}

export type DroOptions = DroPenalty & PolicyOptions & GroupRelativeOptions;

export function droSurrogate({ beta = 0.05 }: DroPenalty = {}): Surrogate {
  return ({ logprobs, advantages }, anchor) => {
    const logRatio = sub(logprobs, anchor);
    return { perToken: neg(sub(mul(logprobs, advantages), mul(mul(logRatio, logRatio), beta / 2))) };
  };
}

export function dro(options: DroOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'dro',
    advantage: groupRelativeAdvantage(options),
    surrogate: droSurrogate(options),
    normalization: 'token',
  });
}
