import { ForgeError } from '@forge/errors';
import type { z } from 'zod';
import { unwritableIn } from './msgpack/unwritable';
import { EXTENSION, MAX_ELEMENTS, MsgpackFault, type ValueBounds } from './msgpack/value-format';
import { ValueReader } from './msgpack/value-reader';
import { ValueWriter } from './msgpack/value-writer';
import { versionIn } from './schema-version';
import { withoutUnknown } from './unknown-fields';

/** Larger messages are refused unread. */
export const MAX_MESSAGE_BYTES = 64 * 2 ** 20;
/** Bounds of a message that is read; the metadata of a sample are the only part of free depth. */
const BOUNDS: ValueBounds = {
  maxDepth: 64,
  maxElements: MAX_ELEMENTS,
  extensions: [EXTENSION.undefined, EXTENSION.typedArray],
};
/** Characters of an error about a message, as the message may have come from any process. */
const MAX_WORDS = 300;

/** Why a message is refused; `details.reason` of the error. */
export type MessageFault =
  'too-large' | 'not-msgpack' | 'not-json' | 'wrong-version' | 'wrong-shape' | 'unknown' | 'duplicate';

class MessageWriter extends ValueWriter {
  encode(message: unknown): Buffer {
    this.base = 0;
    this.at = 0;
    try {
      this.begin(message);
      const bytes = this.chunk.subarray(0, this.at);
      return this.isWide ? bytes : Buffer.from(bytes);
    } finally {
      if (this.isWide) this.renew(this.at);
    }
  }
}

const writer = new MessageWriter({ ...BOUNDS, maxElements: Infinity });

/**
 * Msgpack of a message: plain data, typed arrays as their bytes. Equal messages give equal bytes.
 *
 * @throws {ForgeError} CONTRACT_UNSERIALIZABLE naming the path of a value that is no data.
 */
export function encode(message: unknown): Buffer {
  try {
    return writer.encode(message);
  } catch (cause) {
    const found = unwritableIn(message, 'message', BOUNDS.maxDepth);
    if (found === null) throw cause;
    const { path, reason } = found;
    throw new ForgeError('CONTRACT_UNSERIALIZABLE', `${path} is ${reason}, which can't be written`, {
      path,
      reason,
    });
  }
}

/**
 * The message in `bytes`, checked against `schema`.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when the bytes are more than `maxBytes`, not msgpack of plain data, or do
 *   not fit the schema.
 */
export function decode<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array | undefined,
  what: string,
  maxBytes = MAX_MESSAGE_BYTES,
): z.output<S> {
  if (bytes === undefined) throw invalidMessage(what, 'wrong-shape', 'the field of the message is missing');
  if (bytes.length > maxBytes)
    throw invalidMessage(what, 'too-large', `${bytes.length} bytes; expected at most ${maxBytes}`);
  let message: unknown;
  try {
    const { buffer, byteOffset, length } = bytes;
    message = new ValueReader(Buffer.from(buffer, byteOffset, length), BOUNDS).read(0, length);
  } catch (cause) {
    if (!(cause instanceof MsgpackFault)) throw cause;
    throw invalidMessage(what, 'not-msgpack', `no message in msgpack: it ${cause.message}`, {}, cause);
  }
  return check(schema, message, what);
}

/**
 * `message` checked against `schema`. One of the version to come may have fields that this release does not know: they are
 * passed over.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE naming the first field that does not fit.
 */
export function check<S extends z.ZodType>(schema: S, message: unknown, what: string): z.output<S> {
  let result = schema.safeParse(message);
  if (!result.success && isToCome(schema, message)) {
    const known = withoutUnknown(message, result.error.issues);
    if (known !== null) result = schema.safeParse(known);
  }
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = (issue?.path.join('.') ?? '').slice(0, MAX_WORDS);
  const fault = field === 'schemaVersion' ? 'wrong-version' : 'wrong-shape';
  throw invalidMessage(what, fault, `${field || 'message'}: ${issue?.message ?? ''}`, { field });
}

/** Whether a message is of the version after that of this release, which adds fields. */
function isToCome(schema: z.ZodType, message: unknown): boolean {
  const own = versionIn(schema);
  if (typeof own !== 'number' || typeof message !== 'object' || message === null) return false;
  return 'schemaVersion' in message && message.schemaVersion === own + 1;
}

/** The error for a message that is refused. */
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
