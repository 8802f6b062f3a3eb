import type { ErrorCode } from '@forge/errors';

/** Errors that a completion, its prompt or the reward's own arithmetic brings about. */
const OF_THE_COMPLETION: readonly ErrorCode[] = [
  'BUG_INVARIANT',
  'NUMERIC_NON_FINITE',
  'CAPACITY_PROMPT_TOO_LONG',
  'CONFIG_DATASET_INVALID',
];

/**
 * Whether a completion that failed with this code was not judged at all: a judge, a service or a setting was at fault, which
 * says nothing about how good it is.
 */
export function isUnjudged(code: ErrorCode): boolean {
  return !OF_THE_COMPLETION.includes(code);
}
