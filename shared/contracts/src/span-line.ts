import { z } from 'zod';
import { check, invalidMessage, MAX_MESSAGE_BYTES } from './codec';

const NEW_LINE = 0x0a;
/** The shape of a line; spans are checked by their reader, as most are never read. */
const spanLineSchema = z.looseObject({ resourceSpans: z.array(z.looseObject({})) });

/**
 * A line of the OTLP file format, an entry of the `spans` stream.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when the line is invalid.
 */
export function checkSpanLine(bytes: Buffer | undefined): Buffer {
  if (bytes === undefined)
    throw invalidMessage('spans', 'wrong-shape', 'the field of the message is missing');
  if (bytes.length > MAX_MESSAGE_BYTES)
    throw invalidMessage(
      'spans',
      'too-large',
      `${bytes.length} bytes; expected at most ${MAX_MESSAGE_BYTES}`,
    );
  if (bytes.includes(NEW_LINE)) throw invalidMessage('spans', 'wrong-shape', 'more than one line');
  let request: unknown;
  try {
    request = JSON.parse(bytes.toString());
  } catch (cause) {
    throw invalidMessage('spans', 'not-json', 'not JSON', {}, cause);
  }
  check(spanLineSchema, request, 'spans');
  return bytes;
}
