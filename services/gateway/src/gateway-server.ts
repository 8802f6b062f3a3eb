import { randomBytes } from 'node:crypto';
import { createHttpServer, listenAt } from '@forge/service-kit';
import type { Logger } from '@forge/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AnswerSource } from './answers/answer-source';
import { anthropicErrors } from './dialects/anthropic/anthropic-errors';
import { ApiProblem, problemOf, STATUS } from './dialects/api-problem';
import { openAiErrors } from './dialects/open-ai-errors';
import { answerRoutes } from './handlers/answer-routes';
import { isAnthropic, modelRoutes } from './handlers/model-routes';

export interface GatewayOptions {
  source: AnswerSource;
  /** Names of the model, as a list of models tells them. */
  names: readonly string[];
  /** Beginnings of all paths, `/sessions/:sessionId` say; '' for none. */
  prefixes?: readonly string[];
  host: string;
  /** Null: the usual one, or any where that is taken. */
  port: number | null;
  logger: Logger;
  limits?: Partial<GatewayLimits>;
  /** Adds what comes before every route, the check of a key say, and further routes. */
  extend?: (http: FastifyInstance) => void;
  /** Told of each request that is refused, by its status or why. */
  refused?: (reason: string) => void;
}

export interface GatewayLimits {
  /** Calls under way; those beyond are told to come again. */
  maxCalls: number;
  /** Connections; those beyond are cut off. */
  maxConnections: number;
  maxBodyBytes: number;
}

export interface Gateway {
  /** Address it answers at. */
  url: string;
  /** Answers what it has begun, for so long at most, and ends. */
  close: (drainMs?: number) => Promise<void>;
}

export const USUAL_PORT = 8000;
const LIMITS: GatewayLimits = { maxCalls: 256, maxConnections: 1024, maxBodyBytes: 8 * 1024 * 1024 };
const DRAIN_MS = 30_000;
const IDLE_CHECK_MS = 50;

/** Answers the clients of OpenAI's and Anthropic's APIs. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { source, names, host, port, logger, prefixes = [''], refused = () => undefined } = options;
  const { maxCalls, ...limits } = { ...LIMITS, ...options.limits };
  const http = createHttpServer(refused, limits);
  const onError = (error: unknown, { method, url }: FastifyRequest): void =>
    logger.warn({ err: error, method, url }, 'request failed');
  tellErrors(http, onError);
  options.extend?.(http);
  http.get('/health', () => ({ status: 'ok' }));
  const loadedAt = Math.floor(Date.now() / 1000);
  for (const prefix of prefixes) modelRoutes(http, { names, loadedAt }, source, prefix);
  const { cancelAll } = answerRoutes(http, { source, prefixes, maxCalls, onError });

  return {
    url: await listenAt(http, { what: 'the gateway', host, port, usualPort: USUAL_PORT, logger }),
    close: async (drainMs = DRAIN_MS) => {
      const late = setTimeout(cancelAll, drainMs);
      // Clients keep connections that have been answered.
      const idle = setInterval(() => http.server.closeIdleConnections(), IDLE_CHECK_MS);
      await http.close();
      clearTimeout(late);
      clearInterval(idle);
    },
  };
}

/** Tells errors in the form of the API that a request speaks; each answer has an id to ask about it by. */
function tellErrors(http: FastifyInstance, onError: (error: unknown, request: FastifyRequest) => void): void {
  http.addHook('onRequest', async (_request, reply) => {
    const id = `req_${randomBytes(12).toString('hex')}`;
    void reply.headers({ 'x-request-id': id, 'request-id': id });
  });
  http.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.kind === 'internal') onError(error, request);
    const { retryAfterSeconds, isFinal } = problem.details;
    if (retryAfterSeconds !== undefined) void reply.header('retry-after', String(retryAfterSeconds));
    if (isFinal) void reply.header('x-should-retry', 'false');
    const form = speaksAnthropic(request) ? anthropicErrors : openAiErrors;
    const body = form.body(problem, String(reply.getHeader('x-request-id')));
    void reply.code(STATUS[problem.kind]).send(body);
  });
  http.setNotFoundHandler(({ method, url }) => {
    throw new ApiProblem('not-found', `there is no ${method} ${url}`);
  });
}

function speaksAnthropic(request: FastifyRequest): boolean {
  return isAnthropic(request) || /^(\/sessions\/[^/]+)?\/v1\/messages/.test(request.url);
}
