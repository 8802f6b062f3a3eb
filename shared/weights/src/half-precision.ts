/**
 * IEEE 754 binary16 ("F16") and bfloat16 ("BF16") to and from float32, on raw bits: exact when widening, round to
 * nearest even when narrowing. Subnormals and infinities are kept; a NaN stays a NaN with its sign.
 *
 * Shapes: source and result hold the same number of values.
 */

const halfToFloatBits = new Uint32Array(1 << 16);
for (let half = 0; half < halfToFloatBits.length; half++) halfToFloatBits[half] = widenHalf(half);

/**
 * Float32 values of F16 bit patterns, into `target`. The patterns may be the second half of its memory: each is read
 * before its place is written to.
 */
export function decodeFloat16(
  source: Uint16Array,
  target: Float32Array = new Float32Array(source.length),
): Float32Array {
  const bits = floatBits(target);
  for (let i = 0; i < source.length; i++) bits[i] = halfToFloatBits[source[i]!]!;
  return target;
}

/** Float32 values of BF16 bit patterns, otherwise as `decodeFloat16`. */
export function decodeBfloat16(
  source: Uint16Array,
  target: Float32Array = new Float32Array(source.length),
): Float32Array {
  const bits = floatBits(target);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
  return target;
}

/** F16 bit patterns of float32 values, into `target`; magnitudes from 65520 on become infinite. */
export function encodeFloat16(
  source: Float32Array,
  target: Uint16Array = new Uint16Array(source.length),
): Uint16Array {
  const bits = floatBits(source);
  for (let i = 0; i < bits.length; i++) target[i] = narrowToHalf(bits[i]!);
  return target;
}

/** BF16 bit patterns of float32 values, into `target`. */
export function encodeBfloat16(
  source: Float32Array,
  target: Uint16Array = new Uint16Array(source.length),
): Uint16Array {
  const bits = floatBits(source);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const isNaN = (x & 0x7fffffff) > 0x7f800000;
    // Adding just under half a unit, plus the unit's parity, carries exactly when the value rounds up to even.
    target[i] = isNaN ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return target;
}

function floatBits(source: Float32Array): Uint32Array {
  return new Uint32Array(source.buffer, source.byteOffset, source.length);
}

function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  // A subnormal half is mantissa * 2^-24: shift its leading one up to the implicit bit.
  const shift = Math.clz32(mantissa) - 21;
  return sign | ((113 - shift) << 23) | ((mantissa << (13 + shift)) & 0x7fffff);
}

function narrowToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  // 65520 is halfway between the largest half and the next step, and rounds to even: infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // 2^-14, the smallest normal half: rebias the exponent and round off 13 mantissa bits.
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // At most half of the smallest subnormal, 2^-25: rounds to even, zero.
  if (magnitude <= 0x33000000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const quotient = mantissa >>> shift;
  const remainder = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const roundsUp = remainder > half || (remainder === half && (quotient & 1) === 1);
  return sign | (quotient + (roundsUp ? 1 : 0));
}
