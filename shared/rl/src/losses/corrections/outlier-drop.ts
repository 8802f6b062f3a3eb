import { cast, greater, sub } from '@forge/graph';
import type { LossTerms } from '../loss';
import { sequenceSum } from '../sequence-values';
import type { Correction } from './correction';
import { logMismatch, ratioOf } from './mismatch';
import { isWithin, type RatioBounds } from './sequence-masks';

/**
 * Leaves out the sequences with a token whose ratio old / behaviour is out of bounds: one such token tells that generator
 * and trainer did not compute the same.
 *
 * @see SkyRL's outlier mask, bounds 1e-4 and 100
 */
export function outlierDrop(terms: LossTerms, bounds: RatioBounds): Correction {
  const outside = sub(1, isWithin(ratioOf(logMismatch(terms)), bounds));
  const masked = cast(greater(sequenceSum(outside, terms.mask), 0), 'float32');
  return { weight: sub(1, masked), masked };
}
