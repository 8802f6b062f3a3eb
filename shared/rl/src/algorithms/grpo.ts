/*
 * GRPO (Shao et al., "DeepSeekMath", 2024). Differs from the paper:
 * - the clipped ratio is to the behaviour policy, by the log-probs the generator recorded, since training data may be
 *   several versions old; with a correction by importance weights it is to the policy before the step, as the paper's;
 * - the loss is averaged over all tokens of the batch by default, as in DAPO; 'sequence' is the paper's mean of means,
 *   'constant' that of Dr. GRPO;
 * - 1e-4 is added to the (unbiased) standard deviation, which can be left out as in Dr. GRPO;
 * - the upper clip bound may be wider than the lower (DAPO's clip-higher);
 * - no KL penalty unless asked for.
 */
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Loss } from '../losses/loss';
import { defineAlgorithm, type Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';
import { simpleGrpoLoss } from './simple-grpo';

export interface GrpoLossOptions extends ClipOptions, Omit<PolicyOptions, 'shaping'> {
  /** Short for the correction `tis` by token with this bound. */
  truncatedImportanceSampling?: number | undefined;
}

export interface GrpoOptions extends GrpoLossOptions, GroupRelativeOptions, Pick<PolicyOptions, 'shaping'> {
  /** 'simple' is torchforge's SimpleGRPOLoss exactly; of the loss options it takes klCoefficient alone. */
  loss?: 'clipped' | 'simple' | undefined;
}

/** GRPO's loss alone, for an algorithm of another make. */
export function grpoLoss(options: GrpoLossOptions = {}): Loss {
  return grpo(options).loss;
}

export function grpo(options: GrpoOptions = {}): Algorithm {
  const { loss = 'clipped', klCoefficient = 0, truncatedImportanceSampling: bound } = options;
  const shorthand = bound === undefined ? [] : [{ name: 'tis', level: 'token', bound } as const];
  const correction = [...(options.correction ?? []), ...shorthand];
  const algorithm = policyAlgorithm(
    { ...options, correction },
    {
      name: 'grpo',
      advantage: groupRelativeAdvantage(options),
      surrogate: clippedRatio(options),
      normalization: 'token',
    },
  );
  if (loss === 'clipped') return algorithm;
  return {
    ...algorithm,
    loss: defineAlgorithm({ ...algorithm, loss: simpleGrpoLoss({ klCoefficient }) }).loss,
  };
}
