import fc from 'fast-check';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half-precision';

const half = (value: number): number => encodeFloat16(Float32Array.of(value))[0]!;
const brain = (value: number): number => encodeBfloat16(Float32Array.of(value))[0]!;
const allBits = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits);
const bitsWhere = (wrong: (bits: number) => boolean): number[] => [...allBits].filter(wrong);
const fromBits = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;

/** The value of F16 bits by the definition of the format. */
function slowHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + mantissa / 1024) * 2 ** (exponent - 15) : mantissa * 2 ** -24);
}

/** The even one of the two nearest finite neighbours of |value|, found by search over `decoded`, ascending. */
function nearest(value: number, decoded: Float32Array, finite: number): number {
  let low = 0;
  let high = finite;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (decoded[middle]! <= value) low = middle;
    else high = middle;
  }
  const below = value - decoded[low]!;
  const above = decoded[high]! - value;
  return below < above || (below === above && low % 2 === 0) ? low : high;
}

describe('F16', () => {
  it('decodes every bit pattern to its value', () => {
    const decoded = decodeFloat16(allBits);
    expect(bitsWhere((bits) => !Object.is(decoded[bits], slowHalf(bits)))).toEqual([]);
  });

  it('encodes every decoded bit pattern back to itself, NaNs to quiet NaNs', () => {
    const encoded = encodeFloat16(decodeFloat16(allBits));
    const isNaN = (bits: number): boolean => (bits & 0x7fff) > 0x7c00;
    expect(bitsWhere((bits) => encoded[bits] !== (isNaN(bits) ? bits | 0x200 : bits))).toEqual([]);
  });

  it.each([
    [1, 0x3c00],
    [-0, 0x8000],
    [65504, 0x7bff],
    [65519.99609375, 0x7bff],
    [65520, 0x7c00],
    [-Infinity, 0xfc00],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [fromBits(0x33000001), 0x0001],
    [1.5 * 2 ** -24, 0x0002],
    [2.5 * 2 ** -24, 0x0002],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 ** -14 - 2 ** -25, 0x0400],
    [2 ** -149, 0x0000],
  ])('rounds %p to 0x%x', (value, bits) => {
    expect(half(value)).toBe(bits);
  });

  it('rounds any value to the nearest, ties to even', () => {
    const decoded = decodeFloat16(allBits);
    fc.assert(
      fc.property(fc.float({ min: 0, max: 65504, noNaN: true }), (value) => {
        expect(half(value)).toBe(nearest(value, decoded, 0x7bff));
        expect(half(-value)).toBe(half(value) | 0x8000);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('BF16', () => {
  it('decodes to the float32 whose upper half it is', () => {
    const decoded = new Uint32Array(decodeBfloat16(allBits).buffer);
    expect(bitsWhere((bits) => decoded[bits] !== bits * 65536)).toEqual([]);
  });

  it('encodes every decoded bit pattern back to itself, NaNs to quiet NaNs', () => {
    const encoded = encodeBfloat16(decodeBfloat16(allBits));
    const isNaN = (bits: number): boolean => (bits & 0x7fff) > 0x7f80;
    expect(bitsWhere((bits) => encoded[bits] !== (isNaN(bits) ? bits | 0x40 : bits))).toEqual([]);
  });

  it.each([
    [1, 0x3f80],
    [-0, 0x8000],
    [1 + 2 ** -8, 0x3f80],
    [1 + 3 * 2 ** -8, 0x3f82],
    [fromBits(0x3f808001), 0x3f81],
    [fromBits(0x00000001), 0x0000],
    [fromBits(0x00018000), 0x0002],
    [fromBits(0x7f7fffff), 0x7f80],
    [fromBits(0xff800000), 0xff80],
  ])('rounds %p to 0x%x', (value, bits) => {
    expect(brain(value)).toBe(bits);
  });

  it('keeps a NaN whose payload lies in the dropped bits a NaN', () => {
    const encoded = encodeBfloat16(new Float32Array(Uint32Array.of(0x7f800001).buffer))[0]!;
    expect(encoded & 0x7fff).toBeGreaterThan(0x7f80);
  });

  it('rounds any value to the nearest, ties to even', () => {
    const decoded = decodeBfloat16(allBits);
    fc.assert(
      fc.property(fc.float({ min: 0, max: fromBits(0x7f7f0000), noNaN: true }), (value) => {
        expect(brain(value)).toBe(nearest(value, decoded, 0x7f7f));
        expect(brain(-value)).toBe(brain(value) | 0x8000);
      }),
      { numRuns: 2000 },
    );
  });
});
