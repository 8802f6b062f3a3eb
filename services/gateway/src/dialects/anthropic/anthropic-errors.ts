import type { ApiProblem, ProblemKind } from '../api-problem';
import type { ErrorForm } from '../dialect';

const TYPES: Readonly<Record<ProblemKind, string>> = {
  invalid: 'invalid_request_error',
  unauthorized: 'authentication_error',
  'not-found': 'not_found_error',
  conflict: 'invalid_request_error',
  'too-large': 'request_too_large',
  'too-many': 'rate_limit_error',
  unavailable: 'overloaded_error',
  internal: 'api_error',
};

/** @see https://docs.anthropic.com/en/api/errors */
function body({ kind, message }: ApiProblem, requestId: string): object {
  return { type: 'error', error: { type: TYPES[kind], message }, request_id: requestId };
}

export const anthropicErrors: ErrorForm = {
  body,
  events: (problem, requestId) => [{ event: 'error', data: body(problem, requestId) }],
};
