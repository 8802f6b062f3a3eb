import { encode } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** Largest argument or result of a call. */
export const MAX_BODY_BYTES = 64 * 2 ** 20;

/** @throws {ForgeError} CAPACITY_EXCEEDED naming `what` when it is larger than a call may carry. */
export function encodeWithinLimit(value: unknown, what: string): Buffer {
  const bytes = encode(value);
  if (bytes.length <= MAX_BODY_BYTES) return bytes;
  const message = `${what} takes ${bytes.length} bytes, at most ${MAX_BODY_BYTES} go through a call`;
  throw new ForgeError('CAPACITY_EXCEEDED', message, { sizeBytes: bytes.length, limitBytes: MAX_BODY_BYTES });
}
