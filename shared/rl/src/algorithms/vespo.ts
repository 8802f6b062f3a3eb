/*
 * VESPO ("Variational Sequence-Level Soft Policy Optimization", 2026): each sequence weighs by a smooth function of its ratio that
 * peaks near 1 and falls on both sides, for data of any age. Differs from the paper:
 * - constants and the bounds of the log-ratio (ln 1e-8 and 20) as in TRL.
 */
import {
  add,
  clip,
  exp,
  greaterOrEqual,
  mul,
  neg,
  stopGradient,
  sub,
  where,
  type Tensor,
} from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import type { Surrogate } from '../losses/policy-loss';
import { sequenceSum } from '../losses/sequence-values';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

/** The weight exp(lambda + k ln w - lambda w) of a ratio w, which is 1 at w = 1 and largest at w = k / lambda. */
export interface VespoShape {
  positiveK?: number | undefined;
  positiveLambda?: number | undefined;
  negativeK?: number | undefined;
  negativeLambda?: number | undefined;
}

export type VespoOptions = VespoShape & PolicyOptions & GroupRelativeOptions;

const LOG_RATIO = { low: Math.log(1e-8), high: 20 };

export function vespoSurrogate({
  positiveK = 2,
  positiveLambda = 3,
  negativeK = 3,
  negativeLambda = 2,
}: VespoShape = {}): Surrogate {
  return ({ logprobs, advantages, mask }, anchor) => {
    const logRatio = clip(sequenceSum(sub(logprobs, anchor), mask), LOG_RATIO.low, LOG_RATIO.high);
    const weight = (k: number, lambda: number): Tensor =>
      exp(sub(add(mul(logRatio, k), lambda), mul(exp(logRatio), lambda)));
    const chosen = where(
      greaterOrEqual(advantages, 0),
      weight(positiveK, positiveLambda),
      weight(negativeK, negativeLambda),
    );
    return { perToken: neg(mul(stopGradient(chosen), mul(advantages, logprobs))) };
  };
}

export function vespo(options: VespoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'vespo',
    advantage: groupRelativeAdvantage(options),
    surrogate: vespoSurrogate(options),
    normalization: 'token',
  });
}
