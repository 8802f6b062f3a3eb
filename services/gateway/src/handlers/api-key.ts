import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { ApiProblem } from '../dialects/api-problem';
import { requestKey, requestPath } from './request-key';

/** Refuses requests without the key, but for those that only ask whether the server is there. */
export function requireKey(http: FastifyInstance, key: string): void {
  const isKey = sameAs(key);
  http.addHook('onRequest', async (request) => {
    if (requestPath(request) === '/health') return;
    const given = requestKey(request);
    if (given === null) throw unauthorized('an API key is needed');
    if (!isKey(given)) throw unauthorized('the API key is wrong');
  });
}

/** Whether a text is this secret, in a time that tells nothing of it. */
export function sameAs(secret: string): (given: string) => boolean {
  const expected = digest(secret);
  // Digests are as long as each other.
  return (given) => timingSafeEqual(digest(given), expected);
}

/** @param what is wrong with the key. */
export function unauthorized(what: string): ApiProblem {
  return new ApiProblem('unauthorized', `${what}: send it as Authorization: Bearer KEY, or as x-api-key`);
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
