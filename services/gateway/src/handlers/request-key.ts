import type { FastifyRequest } from 'fastify';
import type { ClientRequest } from '../answers/answer-source';

/** The key of a request, as OpenAI's clients send it, or Anthropic's; null: none. */
export function requestKey({ headers }: Pick<FastifyRequest, 'headers'>): string | null {
  const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
  const header = headers['x-api-key'];
  return bearer ?? (typeof header === 'string' ? header : null);
}

/** The path of a request, without what is asked of it. */
export function requestPath({ url }: Pick<FastifyRequest, 'url'>): string {
  return url.split('?')[0]!;
}

/** The name that a client gives a request which it may send again; null: none. */
export function idempotencyKey({ headers }: { headers: ClientRequest['headers'] }): string | null {
  const name = headers['idempotency-key'];
  return typeof name === 'string' && name !== '' ? name : null;
}
