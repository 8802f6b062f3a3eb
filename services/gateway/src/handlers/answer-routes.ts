import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ForgeError } from '@forge/errors';
import type { AnswerCall, AnswerSource } from '../answers/answer-source';
import type { AnswerListener } from '../answers/draw-answers';
import { readCountRequest } from '../dialects/anthropic/messages-request';
import { messages } from '../dialects/anthropic/messages';
import { ApiProblem, problemOf } from '../dialects/api-problem';
import { chatCompletions } from '../dialects/chat-completions/chat-completions';
import { completions } from '../dialects/completions/completions';
import type { AnswerStream, CallFacts, Dialect } from '../dialects/dialect';
import { responses } from '../dialects/responses/responses';
import { clientRequest } from './client-request';
import { EventWriter } from './event-writer';

/** The APIs, by their paths. */
export const DIALECTS: Readonly<Record<string, Dialect>> = {
  '/v1/chat/completions': chatCompletions,
  '/v1/completions': completions,
  '/v1/responses': responses,
  '/v1/messages': messages,
};

export interface AnswerRoutes {
  source: AnswerSource;
  /** Beginnings of all paths, `/sessions/:sessionId` say; '' for none. */
  prefixes: readonly string[];
  /** Calls under way at most. */
  maxCalls: number;
  /** Told of what went wrong here, and not in the request. */
  onError: (error: unknown, request: FastifyRequest) => void;
}

/** Calls of a client that is told to wait come again after so long. */
const RETRY_SECONDS = 1;

/** Serves answers of the policy; returns how to cancel those under way. */
export function answerRoutes(http: FastifyInstance, routes: AnswerRoutes): { cancelAll: () => void } {
  const calls = new Set<AbortController>();

  const serve = (prefix: string, path: string, dialect: Dialect): void => {
    http.post(`${prefix}${path}`, async (request, reply) => {
      const exchange = dialect.read(request.body);
      const model = routes.source.modelNamed(exchange.asked.model);
      if (calls.size >= routes.maxCalls) {
        const message = `${routes.maxCalls} calls are under way already; try again later`;
        throw new ApiProblem('too-many', message, { retryAfterSeconds: RETRY_SECONDS });
      }
      const cancel = new AbortController();
      calls.add(cancel);
      const { raw } = reply;
      const onClose = (): void => {
        if (!raw.writableFinished) cancel.abort();
      };
      raw.once('close', onClose);
      try {
        const facts = factsOf(model);
        const asked = { request: clientRequest(request, path), asked: exchange.asked };
        const call = { ...asked, signal: cancel.signal, callId: facts.id };
        if (exchange.asked.isStreamed)
          return await streamed(routes, dialect, exchange.stream(facts), call, request, reply);
        return exchange.body(await routes.source.answers({ ...call, listener: null }), facts);
      } finally {
        calls.delete(cancel);
      }
    });
  };
  for (const prefix of routes.prefixes) {
    for (const [path, dialect] of Object.entries(DIALECTS)) serve(prefix, path, dialect);
    http.post(`${prefix}/v1/messages/count_tokens`, async (request) => {
      const { model, prompts, tools } = readCountRequest(request.body);
      routes.source.modelNamed(model);
      const [prompt] = prompts;
      return { input_tokens: await routes.source.countTokens(Array.isArray(prompt) ? prompt : [], tools) };
    });
  }

  return {
    cancelAll: () => {
      for (const call of calls) call.abort();
    },
  };
}

/** Sends the answer in events; what goes wrong before the first one is told as for any request. */
async function streamed(
  { source, onError }: AnswerRoutes,
  { errors }: Dialect,
  events: AnswerStream,
  call: Omit<AnswerCall, 'listener'>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const writer = new EventWriter(reply.raw, reply.getHeaders() as Record<string, string>);
  try {
    const listener: AnswerListener = {
      begin: (promptTokenIds) => writer.write(events.begin(promptTokenIds)),
      grow: (growth) => writer.write(events.grow(growth)),
    };
    writer.write(events.end(await source.answers({ ...call, listener })));
  } catch (error) {
    if (!writer.isOpen) throw error;
    if (!call.signal.aborted || !ForgeError.from(error).is('CANCELLED')) onError(error, request);
    writer.write(errors.events(problemOf(error), request.id));
  } finally {
    writer.end();
    if (writer.isOpen) void reply.hijack();
  }
  return reply;
}

function factsOf(model: string): CallFacts {
  return {
    id: randomBytes(12).toString('hex'),
    createdAt: Math.floor(Date.now() / 1000),
    model,
  };
}
