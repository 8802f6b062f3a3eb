import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { HttpProblem } from './http-problem';

const OWN =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** BullMQ's page has styles in its text, and asks for fonts elsewhere, which it does not get. */
const QUEUES =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/** The policies that browsers are told to keep to. */
export function securityHeaders(http: FastifyInstance): void {
  http.addHook('onRequest', async ({ url }, reply) => {
    void reply.headers({
      'content-security-policy': url.startsWith('/queues') ? QUEUES : OWN,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'permissions-policy': 'camera=(), geolocation=(), microphone=()',
      ...(url.startsWith('/api/') && { 'cache-control': 'no-store' }),
    });
  });
}

/**
 * Where only this machine can reach the dashboard: answers only requests to a name of this machine, so that no page
 * elsewhere can read it by giving its own name the address of this machine.
 */
export function requireLocalName(http: FastifyInstance, host: string): void {
  if (!isLoopback(host)) return;
  http.addHook('onRequest', async ({ hostname }) => {
    const name = hostname.replace(/^\[|\]$/g, '');
    if (isLoopback(name) || name === host) return;
    throw new HttpProblem(
      421,
      'MISDIRECTED_REQUEST',
      `this dashboard is ${host} to this machine only, not ${name}`,
    );
  });
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}
