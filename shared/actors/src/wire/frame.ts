import { ForgeError, type WireError } from '@forge/errors';
import type { CallRequest } from './call-request';

/** Peers of another version are refused. */
export const PROTOCOL_VERSION = 1;

/** The first element of every frame; the second is the id of the call it belongs to, 0 for none. */
export const KIND = {
  hello: 0,
  proof: 1,
  /** The sender closes the connection, and says why. */
  bye: 2,
  ping: 3,
  pong: 4,
  call: 5,
  stream: 6,
  post: 7,
  result: 8,
  error: 9,
  chunk: 10,
  end: 11,
  credit: 12,
  cancel: 13,
} as const;

export type Kind = (typeof KIND)[keyof typeof KIND];
export type Frame = readonly [kind: Kind, id: number, ...fields: unknown[]];

/** Names of the elements of a request, for the path to a value that can't travel. */
const REQUEST_FIELDS = ['', '', 'actor', 'endpoint', 'args', 'key', 'timeoutMs', 'session', 'headers'];

/** Name of an element of a frame, as the user of a channel knows it. */
export function fieldName(kind: Kind, index: number): string {
  switch (kind) {
    case KIND.call:
    case KIND.stream:
    case KIND.post:
      return REQUEST_FIELDS[index] ?? '';
    case KIND.result:
      return 'result';
    case KIND.chunk:
      return 'item';
    default:
      return 'details';
  }
}

export function requestFrame(
  kind: typeof KIND.call | typeof KIND.stream | typeof KIND.post,
  id: number,
  { actor, endpoint, args, key, session, headers }: CallRequest,
  /** Time that is left for the call. */
  leftMs: number | undefined,
): Frame {
  return [kind, id, actor, endpoint, args, key, leftMs ?? null, session ?? null, headers ?? null];
}

/** @throws {ForgeError} CONTRACT_PROTOCOL_MISMATCH when a field is not what a request has. */
export function requestOf(frame: Frame): CallRequest {
  const [, , actor, endpoint, args, key, timeoutMs, session, headers] = frame;
  if (typeof actor !== 'string' || typeof endpoint !== 'string' || typeof key !== 'string')
    throw malformed('a request without actor, endpoint or key');
  if (!Array.isArray(args)) throw malformed('a request without arguments');
  const request: CallRequest = { actor, endpoint, args, key };
  if (timeoutMs !== null) {
    request.timeoutMs = checked(timeoutMs, 'number');
    if (!(request.timeoutMs >= 0)) throw malformed('a deadline that is no time');
  }
  if (session !== null) request.session = checked(session, 'string');
  if (headers !== null) {
    if (typeof headers !== 'object') throw malformed('headers that are no object');
    for (const value of Object.values(headers as object)) checked(value, 'string');
    request.headers = headers as Record<string, string>;
  }
  return request;
}

function checked<T extends 'number' | 'string'>(
  value: unknown,
  type: T,
): T extends 'number' ? number : string {
  if (typeof value !== type) throw malformed(`a request with a field that is no ${type}`);
  return value as T extends 'number' ? number : string;
}

/** Error for bytes that no peer of ours sends. */
export function malformed(what: string): ForgeError {
  return new ForgeError(
    'CONTRACT_PROTOCOL_MISMATCH',
    `the peer does not speak protocol ${PROTOCOL_VERSION} of Forge actors: it sent ${what}`,
    { what },
  );
}

/** Says why the sender closes. */
export function byeFrame({ code, message }: ForgeError): Frame {
  return [KIND.bye, 0, code, message];
}

/** The error in a `bye`, or an `error` frame, behind its kind and id. */
export function errorOf([, , code, message, details]: Frame): ForgeError {
  if (typeof code !== 'string' || typeof message !== 'string')
    throw malformed('an error without code or message');
  const wire = { code, message, details: typeof details === 'object' && details !== null ? details : {} };
  return ForgeError.fromWire(wire as WireError);
}
