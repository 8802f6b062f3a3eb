/*
 * CISPO (MiniMax, "MiniMax-M1", 2025): the weight of a token is clipped, not the token: all keep a gradient. Differs from the
 * paper:
 * - the ratio is to the behaviour policy unless a correction weighs for it.
 * Bounds are those of the ratio itself, as in TRL and Tinker; what is 1 +- 0.2 in verl is 0.8 and 1.2 here.
 */
import { cast, clip, equal, mul, neg, stopGradient, sub } from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { importanceRatio } from '../losses/importance-ratio';
import type { Surrogate } from '../losses/policy-loss';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface CispoBounds {
  /** Least weight of a token. */
  ratioLow?: number | undefined;
  /** Largest weight of a token: 5 as TRL advises; Tinker has 4. */
  ratioHigh?: number | undefined;
}

export type CispoOptions = CispoBounds & PolicyOptions & GroupRelativeOptions;

export function cispoSurrogate({ ratioLow = 0, ratioHigh = 5 }: CispoBounds = {}): Surrogate {
  return ({ logprobs, advantages }, anchor) => {
    const ratio = importanceRatio(logprobs, anchor);
    const weight = clip(ratio, ratioLow, ratioHigh);
    return {
      perToken: neg(mul(stopGradient(weight), mul(advantages, logprobs))),
      metrics: { clip_fraction: sub(1, cast(equal(ratio, weight), 'float32')) },
    };
  };
}

export function cispo(options: CispoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'cispo',
    advantage: groupRelativeAdvantage(options),
    surrogate: cispoSurrogate(options),
    normalization: 'token',
  });
}
