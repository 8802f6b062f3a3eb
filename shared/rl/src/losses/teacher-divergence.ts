import { add, concat, exp, log, maximum, mul, sub, sum, type Tensor } from '@forge/graph';
import type { TopLogprobs } from './loss';

/** Distribution under which the log ratio is averaged: the policy, the teacher, or half of each. */
export type TeacherDivergence = 'reverse' | 'forward' | 'mixed';

/** Share below which all the other tokens together count as it. */
const SMALLEST_REST = 1e-6;

/**
 * KL divergence of the whole next-token distributions of policy and teacher, of which the teacher's K likeliest tokens are told
 * apart and all others are one: never more than the true one, and never below 0. 'reverse' is KL(policy || teacher), 'forward'
 * KL(teacher || policy), 'mixed' their mean.
 *
 * Shapes: [B, T, K] -> [B, T].
 */
export function teacherDivergence(top: TopLogprobs, kind: TeacherDivergence): Tensor {
  const [policy, teacher] = [withRest(top.policy), withRest(top.reference)];
  const reverse = (): Tensor => divergence(policy, teacher);
  const forward = (): Tensor => divergence(teacher, policy);
  if (kind === 'mixed') return mul(add(reverse(), forward()), 0.5);
  return kind === 'reverse' ? reverse() : forward();
}

/** Log-probs with that of all the other tokens behind them. */
function withRest(logprobs: Tensor): Tensor {
  const known = sum(exp(logprobs), [-1], { keepDims: true });
  return concat([logprobs, log(maximum(sub(1, known), SMALLEST_REST))], 2);
}

/** KL(p || q) over the last axis. */
function divergence(p: Tensor, q: Tensor): Tensor {
  return sum(mul(exp(p), sub(p, q)), [-1]);
}
