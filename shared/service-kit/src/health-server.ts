import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { ForgeError } from '@forge/errors';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface HealthServer {
  url: string;
  /** From here on `answer` answers. */
  hand(answer: Answer): void;
  close(): Promise<void>;
}

/**
 * The HTTP server of a service, open before there is anything to serve: whoever waits for its run or loads a model is
 * healthy, but not ready.
 *
 * @throws {ForgeError} CONFIG_INVALID when it can't listen there.
 */
export async function openHealthServer(
  at: { host: string; port: number },
  about: () => Readonly<Record<string, unknown>>,
): Promise<HealthServer> {
  let answer: Answer = ({ url }, response) => {
    const codes: Readonly<Record<string, number>> = { '/healthz': 200, '/readyz': 503 };
    response.writeHead(codes[url ?? ''] ?? 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(about()));
  };
  const server = createServer((request, response) => {
    answer(request, response);
  });
  try {
    server.listen(at.port, at.host);
    await once(server, 'listening');
  } catch (cause) {
    const message = `FORGE_HTTP_PORT: can't listen at ${at.host}:${at.port}: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_INVALID', message, at, { cause });
  }
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`,
    hand: (next) => {
      answer = next;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      await closed;
    },
  };
}
