/*
 * DPPO (Qi et al., "Rethinking the Trust Region in LLM Reinforcement Learning", 2026): a token is left out when its probability has
 * moved too far in the direction its advantage pushes: by how much it changed, not by the ratio, which is large for rare tokens
 * and small for common ones. Differs from the paper:
 * - the bound of the ratio as a weight (20) is that of verl; `squaredPenalty` (1e-3 in prime-rl) is off.
 */
import {
  add,
  cast,
  div,
  exp,
  greater,
  log,
  logicalAnd,
  maximum,
  minimum,
  mul,
  neg,
  stopGradient,
  sub,
  type Tensor,
} from '@forge/graph';
import { groupRelativeAdvantage, type GroupRelativeOptions } from '../advantages/group-relative-advantage';
import { importanceRatio, onPolicyRatio } from '../losses/importance-ratio';
import type { Surrogate } from '../losses/policy-loss';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export interface DppoRegion {
  /** The distance of both probabilities of a token: their difference, or the divergence of the two coins they are. */
  divergence?: 'tv' | 'kl' | undefined;
  /** Largest distance. Left out: 0.2 for tv (verl), 0.05 for kl (SkyRL). */
  threshold?: number | undefined;
  /** Largest ratio as a weight. */
  ratioBound?: number | undefined;
  /** Weight of the squared log-ratio, on all tokens. */
  squaredPenalty?: number | undefined;
}

export type DppoOptions = DppoRegion & PolicyOptions & GroupRelativeOptions;

export function dppoSurrogate(options: DppoRegion = {}): Surrogate {
  const { divergence = 'tv', threshold = divergence === 'tv' ? 0.2 : 0.05 } = options;
  const { ratioBound = 20, squaredPenalty = 0 } = options;
  return ({ logprobs, advantages }, anchor) => {
    const [now, before] = [stopGradient(exp(logprobs)), exp(anchor)];
    const distance =
      divergence === 'tv' ? maximum(sub(now, before), sub(before, now)) : coinDivergence(before, now);
    // Towards what the advantage wants: up for a good token, down for a bad one.
    const isForward = greater(mul(advantages, sub(now, before)), 0);
    const left = cast(logicalAnd(isForward, greater(distance, threshold)), 'float32');
    const weight = stopGradient(minimum(importanceRatio(logprobs, anchor), ratioBound));
    const ratio = mul(mul(onPolicyRatio(logprobs), weight), sub(1, left));
    const logRatio = sub(logprobs, anchor);
    const penalty = mul(mul(logRatio, logRatio), squaredPenalty);
    const surrogate = neg(mul(ratio, advantages));
    return {
      perToken: squaredPenalty > 0 ? add(surrogate, penalty) : surrogate,
      metrics: { clip_fraction: left },
    };
  };
}

/** KL of two coins with these chances. Shapes: [B, T]. */
function coinDivergence(before: Tensor, now: Tensor): Tensor {
  const part = (p: Tensor, q: Tensor): Tensor =>
    mul(p, log(div(maximum(p, SMALLEST_CHANCE), maximum(q, SMALLEST_CHANCE))));
  return add(part(before, now), part(sub(1, before), sub(1, now)));
}

/** Chances below it count as it, so that a logarithm is finite. */
const SMALLEST_CHANCE = 1e-7;

export function dppo(options: DppoOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'dppo',
    advantage: groupRelativeAdvantage(options),
    surrogate: dppoSurrogate(options),
    normalization: 'token',
  });
}
