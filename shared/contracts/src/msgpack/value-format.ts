/** Bytes that are no value of this format, or more of it than is accepted; the message says which, after "it". */
export class MsgpackFault extends Error {
  override readonly name = 'MsgpackFault';
}

/** Bounds of one value. */
export interface ValueBounds {
  /** Deepest nesting. */
  maxDepth: number;
  /** Most elements of all arrays, objects, maps and sets together: what a byte each could cost in memory. */
  maxElements: number;
  /** Extensions that are read; any other is a fault. */
  extensions: readonly number[];
}

/** Most elements of one value that comes from outside. */
export const MAX_ELEMENTS = 2 ** 22;

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
  /** One byte, ignored: the next of the values that go beside the bytes, within one process. */
  beside: 6,
} as const;

/** The order is part of the format. */
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

/** Bytes of any view or buffer, as they go beside the msgpack. */
export type Binary = NodeJS.TypedArray | ArrayBuffer;
