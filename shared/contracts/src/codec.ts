import { ForgeError } from '@forge/errors';
import { Packr } from 'msgpackr/index-no-eval';
import type { z } from 'zod';
import { faultIn } from './msgpack-outline';

const packr = new Packr({ useRecords: false, moreTypes: false });

/** Larger messages are refused unread. */
export const MAX_MESSAGE_BYTES = 64 * 2 ** 20;
/** Of what an error says about a message: as much of it may come from whoever sent it. */
const MAX_WORDS = 300;

/** Why a message is refused; `details.reason` of the error. */
export type MessageFault =
  'too-large' | 'not-msgpack' | 'not-json' | 'wrong-version' | 'wrong-shape' | 'unknown' | 'duplicate';

/** Msgpack of a message that is JSON-like: no classes, no code. */
export function encode(message: unknown): Buffer {
  return packr.pack(message);
}

/**
 * The message in `bytes`, checked against `schema`.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when the bytes are too many, are not JSON-like msgpack or do not fit
 *   the schema.
 */
export function decode<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array | undefined,
  what: string,
): z.output<S> {
  if (bytes === undefined) throw invalidMessage(what, 'wrong-shape', 'the field of the message is missing');
  if (bytes.length > MAX_MESSAGE_BYTES)
    throw invalidMessage(what, 'too-large', `${bytes.length} bytes; expected at most ${MAX_MESSAGE_BYTES}`);
  const fault = faultIn(bytes);
  if (fault !== null) throw invalidMessage(what, 'not-msgpack', `no message in msgpack: ${fault}`);
  let message: unknown;
  try {
    message = packr.unpack(bytes);
  } catch (cause) {
    throw invalidMessage(what, 'not-msgpack', 'not msgpack', {}, cause);
  }
  return check(schema, message, what);
}

/**
 * `message` checked against `schema`.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE naming the first field that does not fit.
 */
export function check<S extends z.ZodType>(schema: S, message: unknown, what: string): z.output<S> {
  const result = schema.safeParse(message);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = (issue?.path.join('.') ?? '').slice(0, MAX_WORDS);
  const fault = field === 'schemaVersion' ? 'wrong-version' : 'wrong-shape';
  throw invalidMessage(what, fault, `${field || 'message'}: ${issue?.message ?? ''}`, { field });
}

/** What is thrown for a message that is refused. */
export function invalidMessage(
  what: string,
  reason: MessageFault,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): ForgeError {
  return new ForgeError(
    'CONTRACT_INVALID_MESSAGE',
    `${what}: ${message.slice(0, MAX_WORDS)}`,
    { what, reason, ...details },
    cause === undefined ? {} : { cause },
  );
}
