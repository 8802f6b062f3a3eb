/*
 * On-policy distillation (Lu et al., "On-Policy Distillation", 2025; by rewards per token from Agarwal et al., 2023): a teacher,
 * the reference model, says how likely it finds each token that the policy drew. Differs from the paper:
 * - PPO's clip, where the authors' cookbook has the plain ratio: the same at the first update on fresh data, and bounded on old;
 * - the loss is a mean over tokens, where theirs is the sum.
 * Rewards count beside the teacher by their distance from the group's mean, as there; with weight 0 the teacher teaches alone.
 */
import { teacherAdvantage, type TeacherOptions } from '../advantages/teacher-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type OpdOptions = ClipOptions & PolicyOptions & TeacherOptions;

export function opd(options: OpdOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'opd',
    advantage: teacherAdvantage(options),
    surrogate: clippedRatio(options),
    normalization: 'token',
    needsReference: true,
  });
}
