import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';

/** Time that the headers of a request may take, and all of it. */
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const IDLE_MS = 5_000;

export interface HttpLimits {
  /** Connections at most (default 256); a peer that comes then is cut off. */
  maxConnections?: number;
  /** Size of a body at most (default 64 KiB). */
  maxBodyBytes?: number;
}

/**
 * The HTTP server of a service. A peer that is slow, sends too much or no HTTP is cut off; `refused` is told of each
 * request that is refused, by its status or why.
 */
export function createHttpServer(
  refused: (reason: string) => void,
  { maxConnections = 256, maxBodyBytes = 65_536 }: HttpLimits = {},
): FastifyInstance {
  const http = fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: IDLE_MS,
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 1_000 },
    // An invalid path gets no further, and no hook is run.
    frameworkErrors: ({ message }, _request, reply) => {
      refused('400');
      void (reply as unknown as FastifyReply).code(400).send({ code: 'BAD_REQUEST', message });
    },
    clientErrorHandler: (error, socket) => {
      // A peer that hangs up has said nothing wrong.
      if (error.code === 'ECONNRESET' || socket.destroyed) return;
      const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
      refused(isLate ? 'late' : 'malformed');
      const status = isLate ? '408 Request Timeout' : '400 Bad Request';
      if (socket.writable)
        socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      socket.destroy();
    },
  });
  http.server.maxConnections = maxConnections;
  http.server.on('drop', () => {
    refused('too-many-connections');
  });
  http.addHook('onResponse', (_request, { statusCode }, done) => {
    if (statusCode >= 400 && statusCode < 500) refused(String(statusCode));
    done();
  });
  return http;
}
