import type { KeptLetter } from '@forge/broker';
import { decode } from '@forge/contracts';
import { z } from 'zod';

/** Bytes of a payload that is neither JSON nor msgpack which are shown. */
const SHOWN_BYTES = 256;

/** The payload of a dead letter as data where it is JSON or msgpack, else its first bytes in hexadecimal. */
export function readablePayload({ payload, sizeBytes }: Pick<KeptLetter, 'payload' | 'sizeBytes'>): unknown {
  const bytes = Buffer.from(payload);
  if (bytes.length === sizeBytes) {
    const parsers = [
      () => JSON.parse(bytes.toString()) as unknown,
      () => decode(z.record(z.string(), z.unknown()), bytes, 'payload'),
    ];
    for (const parse of parsers) {
      try {
        return parse();
      } catch {
        // The next one.
      }
    }
  }
  return bytes.subarray(0, SHOWN_BYTES).toString('hex');
}
