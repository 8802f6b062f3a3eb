/*
 * torchforge's SimpleGRPOLoss, exactly. Differs from GRPO (Shao et al., 2024): no clipping, and no ratio to the policy
 * that generated: data counts as on-policy at any age. torchforge lets a gradient reach the reference log-probs; here they
 * are an input of the graph, without one.
 */
import { mul, sub } from '@forge/graph';
import { sequenceMean } from '../losses/batch-mean';
import { onPolicyRatio } from '../losses/importance-ratio';
import { k3 } from '../losses/k3';
import type { Loss } from '../losses/loss';

export function simpleGrpoLoss({ klCoefficient: beta = 0.1 }: { klCoefficient?: number } = {}): Loss {
  return (terms) => {
    const { logprobs, reference, advantages } = terms;
    const surrogate = mul(onPolicyRatio(logprobs), advantages);
    return sequenceMean(sub(mul(k3(logprobs, reference), beta), surrogate), terms);
  };
}
