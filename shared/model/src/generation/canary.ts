import type { Canary } from '@forge/contracts';
import type { EngineOptions } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { ModelConfig } from '../transformer/model-config';

const TOKENS = 16;
/** Differences of log-probs that are rounding: products in bfloat16 keep 8 bits. */
const TOLERANCE = { float32: 1e-4, bfloat16: 0.25 } as const;

/** The tokens of a canary, spread over the vocabulary: the same for every version of a model. */
export function canaryTokens({ vocabSize, maxPositions }: ModelConfig): number[] {
  const count = Math.min(TOKENS, maxPositions);
  return Array.from({ length: count }, (_, i) => Math.floor((i * vocabSize) / count));
}

/** Largest difference of log-probs that is rounding on an engine. */
export function canaryTolerance({ mathMode }: Pick<EngineOptions, 'mathMode'>): number {
  return TOLERANCE[mathMode];
}

/**
 * Checks that log-probs found with the weights of a version are those that its trainer found.
 *
 * @throws {ForgeError} CONTRACT_CANARY_MISMATCH naming the token, found and expected.
 */
export function checkCanary(
  version: number,
  { tokenIds, logprobs, tolerance }: Canary,
  found: readonly number[],
  own: Pick<EngineOptions, 'mathMode'>,
): void {
  const bound = Math.max(tolerance, canaryTolerance(own));
  const at = logprobs.findIndex((expected, t) => !(Math.abs(found[t]! - expected) <= bound));
  if (at < 0) return;
  const [token, expected] = [tokenIds[at + 1]!, logprobs[at]!];
  const message = `version ${version} is refused: token ${token} of its canary has the log-prob ${found[at]}, its trainer found ${expected} (bound ${bound}); what was announced is not what this policy generates with, so see that both have the same base model`;
  throw new ForgeError('CONTRACT_CANARY_MISMATCH', message, { version, token, found: found[at]!, expected });
}
