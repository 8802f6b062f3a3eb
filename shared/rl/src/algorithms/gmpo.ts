/*
 * GMPO (Zhao et al., "Geometric-Mean Policy Optimization", 2025): the geometric mean of a sequence's ratios, in which an outlier
 * weighs little, each clipped in log space. Differs from the paper:
 * - the ratio is to the behaviour policy unless a correction weighs for it, as in our GRPO;
 * - an advantage by token enters by its mean over the sequence, as in verl.
 */
import { cast, clip, exp, less, minimum, mul, neg, sub, where } from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { sequenceMean } from '../losses/batch-mean';
import type { Surrogate } from '../losses/policy-loss';
import { meanOfSequence } from '../losses/sequence-values';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface GmpoClip {
  /** Log-ratios count within [-clipLogRatio, clipLogRatio]. */
  clipLogRatio?: number | undefined;
}

export type GmpoOptions = GmpoClip &
  Omit<PolicyOptions, 'normalization' | 'normalizationTokens'> &
  GroupRelativeOptions;

export function gmpoSurrogate({ clipLogRatio = 0.4 }: GmpoClip = {}): Surrogate {
  return ({ logprobs, advantages, mask }, anchor) => {
    const logRatio = sub(logprobs, anchor);
    const bounded = clip(logRatio, -clipLogRatio, clipLogRatio);
    const isBad = less(advantages, 0);
    // The pessimistic one of both, as seen from the sign of the advantage.
    const counted = where(isBad, neg(minimum(neg(logRatio), neg(bounded))), minimum(logRatio, bounded));
    const ratio = exp(meanOfSequence(counted, mask));
    const clipped = sub(
      cast(less(counted, logRatio), 'float32'),
      neg(cast(less(logRatio, counted), 'float32')),
    );
    return {
      perToken: mul(neg(mul(ratio, meanOfSequence(advantages, mask))), mask),
      metrics: { clip_fraction: clipped },
    };
  };
}

export function gmpo(options: GmpoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'gmpo',
    advantage: groupRelativeAdvantage(options),
    surrogate: gmpoSurrogate(options),
    normalization: 'sequence',
    mean: sequenceMean,
  });
}
