import type { Tensor } from '@forge/graph';
import type { LossTerms } from '../loss';
import { geometricMask, sequenceMask, type RatioBounds } from './sequence-masks';
import { icePop } from './ice-pop';
import { offPolicySequenceMask, type OffPolicySequenceMaskOptions } from './off-policy-sequence-mask';
import { outlierDrop } from './outlier-drop';
import { truncatedImportanceSampling, type TruncationOptions } from './truncated-importance-sampling';

/** Effect of a correction on each token. Shapes: [B, T] or [B, 1]; no gradient. */
export interface Correction {
  /** Factor of the token's loss: an importance weight, or 0 for a token that is left out. */
  weight: Tensor;
  /** 1 where a token is left out, or its weight cut. */
  masked: Tensor;
}

/**
 * One correction for data of an older or differently computed policy, by its name in a recipe.
 *
 * All compare `old`, the trained policy before the step, with `behaviour`, the one that generated.
 */
export type CorrectionOptions =
  | ({ name: 'tis' } & Partial<TruncationOptions>)
  | ({ name: 'icepop' } & Partial<RatioBounds>)
  | ({ name: 'sequence-mask' } & Partial<RatioBounds>)
  | ({ name: 'geometric-mask' } & Partial<RatioBounds>)
  | ({ name: 'outlier' } & Partial<RatioBounds>)
  | ({ name: 'opsm' } & Partial<OffPolicySequenceMaskOptions>);

/** The correction as it weighs the tokens of a micro-batch. */
export function correct(terms: LossTerms, options: CorrectionOptions): Correction {
  switch (options.name) {
    case 'tis':
      return truncatedImportanceSampling(terms, { level: 'token', bound: 2, ...defined(options) });
    case 'icepop':
      return icePop(terms, { low: 0.5, high: 5, ...defined(options) });
    case 'sequence-mask':
      return sequenceMask(terms, { low: 0.5, high: 2, ...defined(options) });
    case 'geometric-mask':
      return geometricMask(terms, { low: 0.99, high: 1.01, ...defined(options) });
    case 'outlier':
      return outlierDrop(terms, { low: 1e-4, high: 100, ...defined(options) });
    case 'opsm':
      return offPolicySequenceMask(terms, { threshold: 0.5, ...defined(options) });
  }
}

/** True for a correction by an importance weight; the others only leave tokens out. */
export function isWeighting({ name }: CorrectionOptions): boolean {
  return name === 'tis' || name === 'icepop';
}

function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
