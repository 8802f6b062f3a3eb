import { ForgeError } from '@forge/errors';
import type { Tensor } from '@forge/graph';

/** Log-probs of the same tokens under both. Shapes: [B, T, K]. */
export interface TopLogprobs {
  policy: Tensor;
  reference: Tensor;
}

/**
 * The tensors of one micro-batch that a loss sees.
 *
 * Shapes: [B, T] except the counts, [], sequenceIds and rolloutTokens, [B], and those of top; a row is a sequence, T counts predicted tokens.
 * Padding and tokens the policy did not choose have mask 0.
 */
export interface LossTerms {
  /** Log-probs of the policy being trained; with `top` the only term with a gradient, but for `values` in a critic's loss. */
  logprobs: Tensor;
  /** Log-probs the generator recorded. */
  behaviour: Tensor;
  /** Log-probs of the policy before the batch's first update; `logprobs` without gradient where a batch is one update. */
  old: Tensor;
  /** Log-probs of the frozen reference model; zeros unless the algorithm `needsReference`. */
  reference: Tensor;
  /**
   * The tokens that the reference finds likeliest in each place, by log-prob: of the trained policy, with a gradient, and of the
   * reference. Null unless the algorithm asks for them by `referenceTop`. Shapes: [B, T, K].
   */
  top: TopLogprobs | null;
  /** Each token's advantage: the episode's, repeated, or its own. */
  advantages: Tensor;
  /** Versions between the trainer's and the one that produced the token, 0 or more. */
  lag: Tensor;
  /** The critic's values now; their gradient counts in the critic's loss alone. Zeros without a critic, as the next two. */
  values: Tensor;
  /** The critic's values before the batch's first update. */
  oldValues: Tensor;
  /** GAE's returns: what the values are to become. */
  returns: Tensor;
  mask: Tensor;
  /** Index in the batch of each row's episode. */
  sequenceIds: Tensor;
  /** Tokens with mask 1 of each row's rollout, over all its parts, whatever micro-batches they are in. */
  rolloutTokens: Tensor;
  /** Entropy of the policy's next-token distribution, with a gradient. */
  entropy: Tensor;
  /** Tokens with mask 1 in the whole batch, over all its micro-batches. */
  tokenCount: Tensor;
  /** Sequences in the whole batch, over all its micro-batches. */
  sequenceCount: Tensor;
  /** Rollouts in the whole batch; as many as sequences where none has several parts. */
  rolloutCount: Tensor;
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
