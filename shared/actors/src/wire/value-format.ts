import { ForgeError } from '@forge/errors';

/** Largest frame, in bytes behind its length. */
export const MAX_FRAME_BYTES = 64 * 2 ** 20;

/** Most elements of all arrays, objects, maps and sets of a frame together: what a byte each could cost in memory. */
export const MAX_ELEMENTS = 2 ** 22;

/** Deepest nesting of a frame. */
export const MAX_DEPTH = 512;

/** Our msgpack extensions. Their content is plain data: nothing in it names a class or is run. */
export const EXTENSION = {
  /** One byte, ignored. */
  undefined: 0,
  /** Sign (0 or 1), then the magnitude, big endian. Integers of 64 bits go as msgpack's own. */
  bigint: 1,
  /** Milliseconds since 1970 as a float64; NaN for an invalid date. */
  date: 2,
  /** A msgpack array: key, value, key, value ... */
  map: 3,
  /** A msgpack array. */
  set: 4,
  /** Index in `ELEMENT_TYPES`, then the bytes, little endian. */
  typedArray: 5,
} as const;

/** The order is part of the protocol. */
export const ELEMENT_TYPES = [
  ArrayBuffer,
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

export function frameTooLarge(sizeBytes: number): ForgeError {
  return new ForgeError(
    'CAPACITY_FRAME_TOO_LARGE',
    `a frame of at least ${sizeBytes} bytes is needed, at most ${MAX_FRAME_BYTES} are carried; send less at once, or a path to the data`,
    { sizeBytes, limitBytes: MAX_FRAME_BYTES },
  );
}
