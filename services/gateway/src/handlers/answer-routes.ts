import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ForgeError } from '@forge/errors';
import { drawAnswers } from '../answers/draw-answers';
import type { GatewayPolicy } from '../answers/gateway-policy';
import { readCountRequest } from '../dialects/anthropic/messages-request';
import { messages } from '../dialects/anthropic/messages';
import { ApiProblem, problemOf } from '../dialects/api-problem';
import { chatCompletions } from '../dialects/chat-completions/chat-completions';
import { completions } from '../dialects/completions/completions';
import type { CallFacts, Dialect, Exchange } from '../dialects/dialect';
import { responses } from '../dialects/responses/responses';
import { EventWriter } from './event-writer';
import { checkModel, type ServedModel } from './model-routes';

/** The APIs, by their paths. */
export const DIALECTS: Readonly<Record<string, Dialect>> = {
  '/v1/chat/completions': chatCompletions,
  '/v1/completions': completions,
  '/v1/responses': responses,
  '/v1/messages': messages,
};

export interface AnswerRoutes {
  policy: GatewayPolicy;
  model: ServedModel;
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

  for (const [path, dialect] of Object.entries(DIALECTS))
    http.post(path, async (request, reply) => {
      const exchange = dialect.read(request.body);
      checkModel(routes.model, exchange.asked.model);
      if (calls.size >= routes.maxCalls) {
        void reply.header('retry-after', String(RETRY_SECONDS));
        throw new ApiProblem('too-many', `${routes.maxCalls} calls are under way already; try again later`);
      }
      const call = new AbortController();
      calls.add(call);
      const { raw } = reply;
      const onClose = (): void => {
        if (!raw.writableFinished) call.abort();
      };
      raw.once('close', onClose);
      try {
        const { isStreamed } = exchange.asked;
        if (isStreamed) return await streamed(routes, dialect, exchange, call.signal, request, reply);
        return await whole(routes, exchange, call.signal);
      } finally {
        calls.delete(call);
      }
    });

  http.post('/v1/messages/count_tokens', async (request) => {
    const { model, prompts, tools } = readCountRequest(request.body);
    checkModel(routes.model, model);
    const [prompt] = prompts;
    const messages = Array.isArray(prompt) ? prompt : [];
    const tokenIds = await routes.policy.renderChat({ messages, tools: [...tools] });
    return { input_tokens: tokenIds.length };
  });

  return {
    cancelAll: () => {
      for (const call of calls) call.abort();
    },
  };
}

async function whole(
  { policy, model }: AnswerRoutes,
  exchange: Exchange,
  signal: AbortSignal,
): Promise<unknown> {
  const facts = factsOf(model);
  const { asked } = exchange;
  return exchange.body(await drawAnswers({ policy, asked, signal, listener: null, callId: facts.id }), facts);
}

/** Sends the answer in events; what goes wrong before the first one is told as for any request. */
async function streamed(
  { policy, model, onError }: AnswerRoutes,
  { errors }: Dialect,
  { asked, stream }: Exchange,
  signal: AbortSignal,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const facts = factsOf(model);
  const events = stream(facts);
  const writer = new EventWriter(reply.raw, reply.getHeaders() as Record<string, string>);
  try {
    const listener = {
      begin: (promptTokenIds: readonly number[] | null) => writer.write(events.begin(promptTokenIds)),
      grow: (growth: Parameters<typeof events.grow>[0]) => writer.write(events.grow(growth)),
    };
    const answers = await drawAnswers({ policy, asked, signal, listener, callId: facts.id });
    writer.write(events.end(answers));
  } catch (error) {
    if (!writer.isOpen) throw error;
    if (!signal.aborted || !ForgeError.from(error).is('CANCELLED')) onError(error, request);
    writer.write(errors.events(problemOf(error), request.id));
  } finally {
    writer.end();
    if (writer.isOpen) void reply.hijack();
  }
  return reply;
}

function factsOf({ names }: ServedModel): CallFacts {
  return {
    id: randomBytes(12).toString('hex'),
    createdAt: Math.floor(Date.now() / 1000),
    model: names[0]!,
  };
}
