import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiProblem } from '../dialects/api-problem';

/** Refuses requests without the key, but for those that only ask whether the server is there. */
export function requireKey(http: FastifyInstance, key: string): void {
  const expected = digest(key);
  http.addHook('onRequest', async (request) => {
    if (request.url.split('?')[0] === '/health') return;
    const given = keyOf(request);
    // Digests are as long as each other, so that the time it takes tells nothing.
    if (given !== null && timingSafeEqual(digest(given), expected)) return;
    const what = given === null ? 'an API key is needed' : 'the API key is wrong';
    throw new ApiProblem('unauthorized', `${what}: send it as Authorization: Bearer KEY, or as x-api-key`);
  });
}

/** The key of a request, as OpenAI's clients send it, or Anthropic's. */
function keyOf({ headers }: FastifyRequest): string | null {
  const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
  const header = headers['x-api-key'];
  return bearer ?? (typeof header === 'string' ? header : null);
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
