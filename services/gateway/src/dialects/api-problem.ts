import { ForgeError, type ErrorCode } from '@forge/errors';

/** Sorts of problems, each of which every API has a name and a status for. */
export type ProblemKind =
  | 'invalid'
  | 'unauthorized'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'too-many'
  | 'unavailable'
  | 'internal';

/** The answer to a request that can't be met, before an API has put it into its own words. */
export class ApiProblem extends Error {
  constructor(
    readonly kind: ProblemKind,
    message: string,
    /** The field at fault, a word for programs, and when to come again, where there are any. */
    readonly details: {
      param?: string | undefined;
      code?: string | undefined;
      retryAfterSeconds?: number | undefined;
      /** Whether the same request can't ever be met; clients send some again unless they are told. */
      isFinal?: boolean | undefined;
    } = {},
  ) {
    super(message);
  }
}

export const STATUS: Readonly<Record<ProblemKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  'too-many': 429,
  unavailable: 503,
  internal: 500,
};

/** Codes that speak of the request, and not of the server. */
const OF_THE_REQUEST: ReadonlySet<ErrorCode> = new Set([
  'CAPACITY_PROMPT_TOO_LONG',
  'CONFIG_DATASET_INVALID',
  'CONFIG_TOKENIZER_INVALID',
  'CONTRACT_INVALID_MESSAGE',
  'SHAPE_MISMATCH',
] as const);

/** The problem that an error is to a client. */
export function problemOf(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  const { statusCode, message: said } = error as { statusCode?: unknown; message?: unknown };
  // Faults of a request that fastify finds: too large, no JSON.
  if (!(error instanceof ForgeError) && typeof statusCode === 'number' && statusCode < 500)
    return new ApiProblem(statusCode === 413 ? 'too-large' : 'invalid', String(said));
  const forge = ForgeError.from(error);
  const { code, message } = forge;
  if (code === 'CAPACITY_PROMPT_TOO_LONG')
    return new ApiProblem('invalid', message, { code: 'context_length_exceeded' });
  if (OF_THE_REQUEST.has(code)) return new ApiProblem('invalid', message, { code });
  if (code === 'CONFLICT_SESSION_OVER')
    return new ApiProblem('conflict', message, { code: 'session_over', isFinal: true });
  if (code === 'CAPACITY_SESSION_LIMIT')
    return new ApiProblem('too-many', message, { code: 'session_limit', isFinal: true });
  if (code === 'CAPACITY_QUEUE_FULL') return new ApiProblem('too-many', message, { code });
  if (code === 'CANCELLED' || forge.retryable) return new ApiProblem('unavailable', message, { code });
  return new ApiProblem('internal', message, { code });
}
