import { ForgeError } from '@forge/errors';
import type { Tensor } from '@forge/graph';

/**
 * The tensors of one micro-batch that a loss sees.
 *
 * Shapes: [B, T] except the counts, []; T counts predicted tokens. Padding and tokens the policy did not choose
 * have mask 0.
 */
export interface LossTerms {
  /** Log-probs of the policy being trained; the only term with a gradient. */
  logprobs: Tensor;
  /** Log-probs the generator recorded. */
  behaviour: Tensor;
  /** Log-probs of the frozen reference model; zeros unless the algorithm `needsReference`. */
  reference: Tensor;
  /** The episode's advantage, repeated for each of its tokens. */
  advantages: Tensor;
  mask: Tensor;
  /** Entropy of the policy's next-token distribution; no gradient. */
  entropy: Tensor;
  /** Tokens with mask 1 in the whole batch, over all its micro-batches. */
  tokenCount: Tensor;
  /** Sequences in the whole batch, over all its micro-batches. */
  sequenceCount: Tensor;
}

/**
 * A scalar to minimise, and scalars to show.
 *
 * Every one is a sum over this micro-batch divided by a count of the whole batch (`tokenMean`, `sequenceMean`),
 * so that adding up the micro-batches gives the value of the batch exactly.
 */
export interface LossResult {
  loss: Tensor;
  metrics?: Record<string, Tensor>;
}

export type Loss = (terms: LossTerms) => LossResult | Tensor;

/**
 * The value a loss returned, as a result with metrics.
 *
 * @throws {ForgeError} CONFIG_LOSS_INVALID for anything but a tensor or `{ loss, metrics }`.
 */
export function lossResult(returned: unknown): Required<LossResult> {
  if (isTensor(returned)) return { loss: returned, metrics: {} };
  const { loss, metrics = {} } = (returned ?? {}) as Partial<LossResult>;
  if (isTensor(loss)) return { loss, metrics };
  const found = returned instanceof Promise ? 'a promise' : returned === null ? 'null' : typeof returned;
  const message = `it returned ${found}, expected a scalar tensor or { loss, metrics }`;
  throw new ForgeError('CONFIG_LOSS_INVALID', message, { found });
}

export function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'dtype' in value && 'shape' in value;
}
