import type { ApiError } from '../../../src/api';

/** An answer other than the one asked for; `status` 0: the server did not answer. */
export class RequestProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }

  /** The server is away, or what it depends on: it is worth asking again. */
  get isPassing(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

export const runPath = (id: string): string => `/runs/${encodeURIComponent(id)}`;

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, signal === undefined ? {} : { signal });
  return (await response.json()) as T;
}

export async function post(path: string, token: string, body: object = {}): Promise<void> {
  await ask(path, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** @throws {RequestProblem} for any answer but success. */
async function ask(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`/api${path}`, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestProblem(0, 'UNREACHABLE', 'The dashboard’s server does not answer.');
  }
  if (response.ok) return response;
  const { code, message } = await problemOf(response);
  throw new RequestProblem(response.status, code, message);
}

async function problemOf(response: Response): Promise<ApiError> {
  try {
    return (await response.json()) as ApiError;
  } catch {
    return { code: String(response.status), message: response.statusText };
  }
}
