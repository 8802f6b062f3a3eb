import { hashOfKey, type SessionDirectory } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../answers/answer-source';
import { ApiProblem, problemOf } from '../dialects/api-problem';
import { sameAs, unauthorized } from '../handlers/api-key';
import { requestKey, requestPath } from '../handlers/request-key';

/** Lets nobody but the owner and agents with a key come in, but for the question whether the server is there. */
export function requireCaller(
  http: FastifyInstance,
  directory: Pick<SessionDirectory, 'byKey'>,
  token: string,
): void {
  const isToken = sameAs(token);
  http.decorateRequest('caller', null);
  http.addHook('onRequest', async (request) => {
    if (requestPath(request) === '/health') return;
    const key = requestKey(request);
    if (key === null) throw unauthorized('the key of a session is needed, or the token of the run');
    const named = namedSession(request);
    if (isToken(key)) {
      request.caller = { isOwner: true, sessionId: named };
      return;
    }
    const session = await directory.byKey(hashOfKey(key));
    if (session === null) throw unauthorized('no session has this key, or has it any more');
    if (named !== null && named !== session.sessionId)
      throw unauthorized(`the key is not that of session ${named}`);
    request.caller = { isOwner: false, sessionId: session.sessionId };
  });
}

/** The session that path or header name. */
function namedSession({ params, headers }: FastifyRequest): string | null {
  const { sessionId } = (params ?? {}) as { sessionId?: string };
  const header = headers['x-session-id'];
  return sessionId ?? (typeof header === 'string' && header !== '' ? header : null);
}

/**
 * The session that a request of this caller belongs to; `named` in its body.
 *
 * @throws {ApiProblem} invalid where the owner names none; unauthorized for the session of another key.
 */
export function sessionOf({ isOwner, sessionId }: Caller, named: string | null = null): string {
  if (!isOwner && named !== null && named !== sessionId)
    throw unauthorized(`the key is not that of session ${named}`);
  const found = named ?? sessionId;
  if (found !== null) return found;
  throw new ApiProblem(
    'invalid',
    'the token of the run opens every session: name one by the path /sessions/ID/..., the header X-Session-ID or session_id',
    { param: 'session_id' },
  );
}

/** The problem of a session that is not there: that of a key was, so it is over. */
export function goneSession({ isOwner }: Caller, sessionId: string): ApiProblem {
  if (!isOwner) return sessionOver(sessionId);
  const message = `there is no session ${sessionId}; it may be over`;
  return new ApiProblem('not-found', message, { code: 'session_not_found' });
}

export function sessionOver(sessionId: string): ApiProblem {
  return problemOf(
    new ForgeError('CONFLICT_SESSION_OVER', `session ${sessionId} is over; start another one`),
  );
}
