import { nested, pick, spoil, type Random } from './hostile-values';

/** Bytes that are no message, or one that is wrong, and how. */
export interface HostileBytes {
  kind: string;
  bytes: Buffer;
}

const DEEPEST = 100_000;
const DEPTHS = [100, 1_000, 10_000, DEEPEST];
/** Starts of values whose length is not there: bin, str, array, map and ext of up to 4 GB. */
const CLAIMS = [
  'c6ffffffff',
  'dbffffffff',
  'ddffffffff',
  'dfffffffff',
  'c9ffffffff01',
  'dd01ffffff',
  'c5ffff',
  'dcffff',
  'deffff',
].map((hex) => Buffer.from(hex, 'hex'));
/** Extensions, those of msgpackr among them: error, set, typed array, regular expression, date, record, pointer. */
const EXTENSIONS = [0x65, 0x73, 0x74, 0x78, 0xff, 0x72, 0x70, 0x69, 0x01, 0x62].flatMap((type) => [
  Buffer.from([0xd4, type, 0x01]),
  Buffer.from([0xd6, type, 0x93, 0xa1, 0x61, 0x01]),
  Buffer.concat([Buffer.from([0xc7, 8, type, 0x92, 0xa5]), Buffer.from('Error\x01')]),
]);

type Maker = (random: Random, valid: unknown, encode: (value: unknown) => Buffer) => Buffer;

const MAKERS: Readonly<Record<string, Maker>> = {
  'random bytes': (random) => randomBytes(random, Math.floor(random() * 200)),
  'no bytes': () => Buffer.alloc(0),
  truncated: (random, valid, encode) => {
    const bytes = encode(valid);
    return bytes.subarray(0, Math.floor(random() * bytes.length));
  },
  'garbage behind it': (random, valid, encode) =>
    Buffer.concat([encode(valid), randomBytes(random, 1 + Math.floor(random() * 20))]),
  'flipped bits': (random, valid, encode) => {
    const bytes = Buffer.from(encode(valid));
    for (let i = 0; i < 3; i++) bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
    return bytes;
  },
  'length that is not there': (random, valid, encode) => {
    const bytes = encode(valid);
    const at = Math.floor(random() * bytes.length);
    return Buffer.concat([bytes.subarray(0, at), pick(random, CLAIMS), bytes.subarray(at)]);
  },
  'extension type': (random, valid, encode) => {
    const bytes = encode(valid);
    const at = random() < 0.5 ? 0 : Math.floor(random() * bytes.length);
    return Buffer.concat([bytes.subarray(0, at), pick(random, EXTENSIONS), bytes.subarray(at)]);
  },
  'deep nesting': (random) => {
    const depth = random() < 0.01 ? pick(random, DEPTHS) : 100;
    return Buffer.concat([Buffer.alloc(depth, pick(random, [0x91, 0x81])), Buffer.from([0xc0])]);
  },
};

/** The kinds of `hostileBytes` that are not of `spoil`. */
export const BYTE_KINDS = Object.keys(MAKERS);

/** A message that is broken, as bytes or in its content; it may be valid all the same. */
export function hostileBytes(
  random: Random,
  valid: unknown,
  encode: (value: unknown) => Buffer,
  largeEvery?: number,
): HostileBytes {
  if (random() < 0.5) {
    const { kind, value } = spoil(random, valid, largeEvery);
    return { kind, bytes: encode(value) };
  }
  const [kind, make] = pick(random, Object.entries(MAKERS));
  return { kind, bytes: make(random, valid, encode) };
}

/** JSON that is broken, or of a message that is wrong. */
export function hostileJson(
  random: Random,
  valid: unknown,
  largeEvery?: number,
): { kind: string; text: string } {
  const text = JSON.stringify(valid);
  const roll = random();
  if (roll < 0.1) return { kind: 'truncated', text: text.slice(0, Math.floor(random() * text.length)) };
  if (roll < 0.2) return { kind: 'random bytes', text: randomBytes(random, 40).toString('latin1') };
  if (roll < 0.25) return { kind: 'garbage behind it', text: `${text}}]` };
  if (roll < 0.3) {
    const depth = random() < 0.01 ? DEEPEST / 10 : 100;
    return {
      kind: 'deep nesting',
      text: JSON.stringify({ ...(valid as object), x: nested(depth > 1000 ? 1000 : depth) }),
    };
  }
  const { kind, value } = spoil(random, valid, largeEvery);
  return { kind, text: JSON.stringify(value) ?? '' };
}

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}
