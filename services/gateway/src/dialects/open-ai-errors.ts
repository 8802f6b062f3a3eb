import { STATUS, type ApiProblem, type ProblemKind } from './api-problem';
import type { ErrorForm } from './dialect';

const TYPES: Readonly<Record<ProblemKind, string>> = {
  invalid: 'invalid_request_error',
  unauthorized: 'invalid_request_error',
  'not-found': 'invalid_request_error',
  conflict: 'invalid_request_error',
  'too-large': 'invalid_request_error',
  'too-many': 'rate_limit_error',
  unavailable: 'server_error',
  internal: 'server_error',
};
const CODES: Readonly<Partial<Record<ProblemKind, string>>> = {
  unauthorized: 'invalid_api_key',
  'too-many': 'rate_limit_exceeded',
};

/** @see https://platform.openai.com/docs/guides/error-codes */
function body({ kind, message, details: { param, code } }: ApiProblem): { error: Record<string, unknown> } {
  return {
    error: { message, type: TYPES[kind], param: param ?? null, code: code ?? CODES[kind] ?? null },
  };
}

export const openAiErrors: ErrorForm = {
  body,
  // Clients throw what an event says in the place of a chunk.
  events: (problem) => [{ data: body(problem) }],
};

/** Events of the Responses API, which have a type of their own. */
export const responsesErrors: ErrorForm = {
  body,
  events: (problem) => {
    const { message, code, param } = body(problem).error;
    return [
      { event: 'error', data: { type: 'error', code: code ?? String(STATUS[problem.kind]), message, param } },
    ];
  },
};
