/*
 * Pass@k as the objective (Tang et al., "Optimizing Language Models for Inference Time Objectives using Reinforcement Learning",
 * 2025), k being the group's size: only the best answer of a group learns, by how much it is better than the second. Differs
 * from the paper:
 * - divided by the group's standard deviation by default, and PPO's clipped loss, as in verl.
 */
import { bestOfGroupAdvantage, type BestOfGroupOptions } from '../advantages/best-of-group-advantage';
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type PassAtKOptions = ClipOptions & PolicyOptions & BestOfGroupOptions;

export function passAtK(options: PassAtKOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'pass-at-k',
    advantage: bestOfGroupAdvantage(options),
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
