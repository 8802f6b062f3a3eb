import type { AddressInfo } from 'node:net';
import { ForgeError } from '@forge/errors';
import type { Metering } from '@forge/telemetry';
import { createHttpServer } from './http-server';

/** State that a service tells of itself over HTTP; it comes to be while the service starts. */
export interface Vitals {
  service: string;
  replica: string;
  /** Condition it waits for before it can start; null: nothing any more. */
  waitsFor: string | null;
  isReady: () => boolean;
  /** Null until there is something to measure. */
  metering: Metering | null;
  /** Hears of each request that is refused. */
  refused: (reason: string) => void;
}

export interface ServiceEndpoints {
  url: string;
  close(): Promise<void>;
}

/**
 * Serves `/healthz`, `/readyz` and `/metrics` from the moment a process has begun: one that waits for its run or loads
 * a model is healthy, but not ready.
 *
 * @throws {ForgeError} CONFIG_INVALID when it can't listen there.
 */
export async function openEndpoints(
  at: { host: string; port: number },
  vitals: Vitals,
): Promise<ServiceEndpoints> {
  const http = createHttpServer((reason) => {
    vitals.refused(reason);
  });
  http.get('/healthz', () => {
    const { service, replica, waitsFor } = vitals;
    return { status: 'ok', service, replica, ...(waitsFor !== null && { waitsFor }) };
  });
  http.get('/readyz', async (_request, reply) => {
    const isReady = vitals.isReady();
    return reply.code(isReady ? 200 : 503).send({ ready: isReady });
  });
  http.get('/metrics', async (request, reply) => {
    if (vitals.metering === null) return reply.code(503).send({ error: 'the service is starting' });
    const { scrape } = await vitals.metering.start();
    reply.hijack();
    scrape(request.raw, reply.raw);
    return reply;
  });
  try {
    await http.listen(at);
  } catch (cause) {
    const message = `FORGE_HTTP_PORT: can't listen at ${at.host}:${at.port}: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_INVALID', message, at, { cause });
  }
  const { port } = http.server.address() as AddressInfo;
  return {
    url: `http://${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`,
    close: () => http.close(),
  };
}
