import { types } from 'node:util';
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
      () => listed(decode(z.record(z.string(), z.unknown()), bytes, 'payload')),
    ];
    for (const parse of parsers) {
      try {
        return parse();
      } catch {
        // Try the next one.
      }
    }
  }
  return bytes.subarray(0, SHOWN_BYTES).toString('hex');
}

/** The same data with typed arrays as lists, as JSON shows them; bytes stay. */
function listed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(listed);
  if (types.isTypedArray(value))
    return Buffer.isBuffer(value) ? value : Array.from(value as ArrayLike<number>);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, listed(one)]));
}
