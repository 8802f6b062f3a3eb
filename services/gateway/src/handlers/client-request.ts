import type { FastifyRequest } from 'fastify';
import type { Caller, ClientRequest } from '../answers/answer-source';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before the handlers of a gateway that has sessions. */
    caller?: Caller | null;
  }
}

/** The request as it came, under the path of the API. */
export function clientRequest({ caller = null, headers, body }: FastifyRequest, path: string): ClientRequest {
  return { path, caller, headers, body };
}
