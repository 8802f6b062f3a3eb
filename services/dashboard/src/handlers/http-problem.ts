import { ForgeError } from '@forge/errors';
import type { ApiError } from '../api';

/** The answer to a request that can't be met. */
export class HttpProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export function notFound(message: string): HttpProblem {
  return new HttpProblem(404, 'NOT_FOUND', message);
}

/** How an error is told. */
export function problemOf(error: unknown): { status: number; body: ApiError } {
  if (error instanceof HttpProblem)
    return { status: error.status, body: { code: error.code, message: error.message } };
  const { statusCode, code: httpCode, message: said } = error as Partial<Record<string, unknown>>;
  // Faults of a request that fastify finds: too large, no JSON.
  if (!(error instanceof ForgeError) && typeof statusCode === 'number' && statusCode < 500)
    return { status: statusCode, body: { code: String(httpCode ?? statusCode), message: String(said) } };
  const { code, message } = ForgeError.from(error);
  return { status: statusOf(code), body: { code, message } };
}

function statusOf(code: string): number {
  if (code === 'CONTRACT_UNAUTHORIZED') return 502;
  if (code === 'CONFIG_INVALID' || code === 'CONTRACT_INVALID_MESSAGE') return 400;
  if (code === 'CONFLICT_STATE') return 409;
  if (/^(TRANSIENT|CAPACITY)_/.test(code)) return 503;
  return 500;
}
