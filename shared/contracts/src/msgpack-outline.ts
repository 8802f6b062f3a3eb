/** What our messages need at most: the metadata of a sample are the only free part. */
const MAX_DEPTH = 64;

/** Sizes in bytes behind the type byte of values of fixed size, by type byte; -1: no fixed size. */
const FIXED = new Int8Array(256).fill(-1);
FIXED.fill(0, 0x00, 0x80);
FIXED.fill(0, 0xe0);
for (const [type, size] of [
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xca, 4],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
] as const)
  FIXED[type] = size;

/**
 * What is wrong with bytes that should be one value of JSON-like msgpack, null when nothing is. It looks at types and
 * lengths only and makes nothing of them, so that a decoder is shown neither a length that is not there, nor a nesting
 * that its stack does not hold, nor an extension that would become an object of some class.
 */
export function faultIn(bytes: Uint8Array): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  /** Values still to come, by depth. */
  const left = [1];
  let depth = 0;
  let at = 0;
  while (depth >= 0) {
    if (left[depth] === 0) {
      depth--;
      continue;
    }
    left[depth]!--;
    if (at >= end) return 'it ends too early';
    const type = bytes[at++]!;
    const fixed = FIXED[type]!;
    if (fixed >= 0) {
      at += fixed;
      continue;
    }
    let values = -1;
    if (type <= 0x8f) values = 2 * (type & 0x0f);
    else if (type <= 0x9f) values = type & 0x0f;
    else if (type <= 0xbf) at += type & 0x1f;
    else if (isUndefined(bytes, at - 1)) at += 2;
    else {
      const lengthBytes = LENGTH_BYTES[type];
      if (lengthBytes === undefined) return `it has a value of type 0x${type.toString(16)}`;
      if (at + lengthBytes > end) return 'it ends too early';
      const length =
        lengthBytes === 1 ? bytes[at]! : lengthBytes === 2 ? view.getUint16(at) : view.getUint32(at);
      at += lengthBytes;
      if (type >= 0xdc) values = type >= 0xde ? 2 * length : length;
      else at += length;
    }
    if (values < 0) continue;
    // Every value takes a byte at least.
    if (values > end - at) return 'it ends too early';
    if (++depth >= MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH}`;
    left[depth] = values;
  }
  if (at > end) return 'it ends too early';
  return at < end ? `it goes on for ${end - at} bytes behind its end` : null;
}

/** Bytes of the length of bin, str, array and map, by type byte. */
const LENGTH_BYTES: Readonly<Record<number, 1 | 2 | 4>> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
  0xdc: 2,
  0xdd: 4,
  0xde: 2,
  0xdf: 4,
};

/** As our encoder writes a field that is undefined. */
function isUndefined(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xd4 && bytes[at + 1] === 0 && bytes[at + 2] === 0;
}
