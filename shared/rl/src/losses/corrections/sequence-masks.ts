import { cast, greaterOrEqual, lessOrEqual, logicalAnd, sub, type Tensor } from '@forge/graph';
import type { LossTerms } from '../loss';
import { meanOfSequence, sequenceSum } from '../sequence-values';
import type { Correction } from './correction';
import { logMismatch, ratioOf } from './mismatch';

/** A ratio counts within [low, high]. */
export interface RatioBounds {
  low: number;
  high: number;
}

/**
 * Leaves out the sequences whose ratio old / behaviour, the product over their tokens, is out of bounds.
 *
 * @see the rejection masks of verl, bounds 0.5 and 2
 */
export function sequenceMask(terms: LossTerms, bounds: RatioBounds): Correction {
  return maskBy(ratioOf(sequenceSum(logMismatch(terms), terms.mask)), bounds);
}

/**
 * Leaves out the sequences whose geometric mean of old / behaviour over their tokens is out of bounds: unlike the product,
 * one bound does for any length.
 *
 * @see SkyRL's geometric mask with bounds 0.99 and 1.01; NeMo RL has 0.999 and 1.002
 */
export function geometricMask(terms: LossTerms, bounds: RatioBounds): Correction {
  return maskBy(ratioOf(meanOfSequence(logMismatch(terms), terms.mask)), bounds);
}

function maskBy(ratio: Tensor, bounds: RatioBounds): Correction {
  const kept = isWithin(ratio, bounds);
  return { weight: kept, masked: sub(1, kept) };
}

/** 1 where a ratio is within its bounds, 0 elsewhere. */
export function isWithin(ratio: Tensor, { low, high }: RatioBounds): Tensor {
  return cast(logicalAnd(greaterOrEqual(ratio, low), lessOrEqual(ratio, high)), 'float32');
}
