import { ForgeError } from '@forge/errors';
import { Packr } from 'msgpackr/index-no-eval';
import type { z } from 'zod';

const packr = new Packr({ useRecords: false, moreTypes: false });

/** Msgpack of a message that is JSON-like: no classes, no code. */
export function encode(message: unknown): Buffer {
  return packr.pack(message);
}

/**
 * The message in `bytes`, checked against `schema`.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when the bytes are not msgpack or do not fit the schema.
 */
export function decode<S extends z.ZodType>(schema: S, bytes: Uint8Array, what: string): z.output<S> {
  let message: unknown;
  try {
    message = packr.unpack(bytes);
  } catch (cause) {
    throw new ForgeError('CONTRACT_INVALID_MESSAGE', `${what}: not msgpack`, { what }, { cause });
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
  const field = issue?.path.join('.') ?? '';
  throw new ForgeError(
    'CONTRACT_INVALID_MESSAGE',
    `${what}: ${field || 'message'}: ${issue?.message ?? ''}`,
    {
      what,
      field,
    },
  );
}
