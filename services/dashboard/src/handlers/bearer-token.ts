import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { HttpProblem } from './http-problem';

/** Refuses changes by clients that do not know the token. */
export function requireToken(http: FastifyInstance, token: string): void {
  const expected = digest(`Bearer ${token}`);
  http.addHook('onRequest', async ({ method, headers }, reply) => {
    if (method === 'GET' || method === 'HEAD') return;
    // Digests are as long as each other, so that the time it takes tells nothing.
    if (timingSafeEqual(digest(headers.authorization ?? ''), expected)) return;
    void reply.header('WWW-Authenticate', 'Bearer');
    const what = headers.authorization === undefined ? 'a token is needed' : 'the token is wrong';
    throw new HttpProblem(
      401,
      'CONTRACT_UNAUTHORIZED',
      `${what} to change something: open the address that was printed at the start (#token=...), or give the one of FORGE_DASHBOARD_TOKEN`,
    );
  });
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
