/*
 * On-policy distillation (Lu et al., "On-Policy Distillation", 2025; by rewards per token from Agarwal et al., 2023): a teacher,
 * the reference model, says how likely it finds each token that the policy drew. Differs from the paper:
 * - PPO's clip, where the authors' cookbook has the plain ratio: the same at the first update on fresh data, and bounded on old;
 * - the loss is a mean over tokens, where theirs is the sum.
 * Rewards count beside the teacher by their distance from the group's mean, as there; with weight 0 the teacher teaches alone.
 *
 * With `teacherTop` the teacher says more than how likely the drawn token is: the divergence over its likeliest tokens in
 * each place is a part of the loss, with a gradient of its own, as in generalised knowledge distillation (Agarwal et al.,
 * 2023) and NeMo RL. Differs from those: tokens that are not told apart count as one, where they leave them out.
 */
import { add, mul } from '@forge/graph';
import { groupRelativeAdvantage } from '../advantages/group-relative-advantage';
import { teacherAdvantage, type TeacherOptions } from '../advantages/teacher-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Surrogate } from '../losses/policy-loss';
import { teacherDivergence, type TeacherDivergence } from '../losses/teacher-divergence';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface OpdOptions extends ClipOptions, PolicyOptions, TeacherOptions {
  /** Likeliest tokens of the teacher that are compared in each place; 0 (default): the drawn one alone. */
  teacherTop?: number | undefined;
  /** Default 'reverse'. */
  teacherDivergence?: TeacherDivergence | undefined;
}

export function opd(options: OpdOptions = {}): Algorithm {
  const { teacherTop = 0 } = options;
  return policyAlgorithm(options, {
    name: 'opd',
    normalization: 'token',
    needsReference: true,
    ...(teacherTop === 0
      ? { advantage: teacherAdvantage(options), surrogate: clippedRatio(options) }
      : {
          advantage: groupRelativeAdvantage({ normalizeByStd: false }),
          surrogate: besideTeacher(options),
          referenceTop: teacherTop,
          // The teacher has something to say of equal rewards, too.
          isInformative: () => true,
        }),
  });
}

/** The clipped ratio for the rewards, and the divergence from the teacher. */
function besideTeacher(options: OpdOptions): Surrogate {
  const { teacherCoefficient = 1, teacherDivergence: kind = 'reverse' } = options;
  const ofRewards = clippedRatio(options);
  return (terms, anchor) => {
    const { perToken, metrics } = ofRewards(terms, anchor);
    const divergence = teacherDivergence(terms.top!, kind);
    return {
      perToken: add(perToken, mul(divergence, teacherCoefficient)),
      metrics: { ...metrics, teacher_divergence: divergence },
    };
  };
}
