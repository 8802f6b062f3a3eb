import { types } from 'node:util';

/** Uniform in 0..1. */
export type Random = () => number;

/** A seeded stream of numbers. @see https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const pick = <T>(random: Random, items: readonly T[]): T =>
  items[Math.floor(random() * items.length)]!;

/** A value that is wrong somewhere, and how. */
export interface HostileValue {
  kind: string;
  value: unknown;
}

type Container = Record<string | number, unknown>;
interface Place {
  holder: Container;
  key: string | number;
}

const LONG = 10 ** 6;
/** Entries, as many as our encoder puts into a map. */
const MANY = 60_000;
/** One message in so many is a large one. */
const LARGE_EVERY = 4_000;

/** Ways to spoil the value at a place of a message. */
const SPOILERS: Readonly<Record<string, (at: Place, random: Random) => void>> = {
  'field removed': ({ holder, key }) => {
    if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else delete holder[key];
  },
  'field added': ({ holder, key }, random) => {
    const name = pick(random, ['constructor', 'toString', 'prototype', 'x', '', 'schemaVersion ']);
    if (Array.isArray(holder)) holder.splice(Number(key), 0, {});
    else holder[name] = 1;
  },
  'prototype key': (at, random) => {
    const name = pick(random, ['__proto__', 'constructor']);
    const polluted: Container = JSON.parse(`{"${name}":{"polluted":true}}`) as Container;
    if (Array.isArray(at.holder)) at.holder[Number(at.key)] = polluted;
    else Object.defineProperty(at.holder, name, { value: polluted, enumerable: true, configurable: true });
  },
  'wrong type': ({ holder, key }, random) => {
    holder[key] = pick<unknown>(random, [null, true, 'x', '', 7, {}, [], [[]], { length: 3 }, 0.5]);
  },
  'not finite': ({ holder, key }, random) => {
    const value = holder[key];
    const wrong = pick(random, [NaN, Infinity, -Infinity]);
    if (types.isFloat32Array(value) && value.length > 0) value[Math.floor(random() * value.length)] = wrong;
    else holder[key] = wrong;
  },
  'huge number': ({ holder, key }, random) => {
    holder[key] = pick(random, [1e308, -1e308, 2 ** 53, 2 ** 64, -(2 ** 63), 1e13]);
  },
  'negative number': ({ holder, key }, random) => {
    holder[key] = pick(random, [-1, -2, -(2 ** 31), -0.5]);
  },
  'wrong length': ({ holder, key }, random) => {
    const value = holder[key];
    if (types.isTypedArray(value)) holder[key] = value.slice(0, Math.floor(random() * value.length));
    else if (!Array.isArray(value)) holder[key] = [value, value, value];
    else if (random() < 0.5) value.length = Math.floor(random() * value.length);
    else value.push(...(value as unknown[]).slice(0, 3), 0);
  },
};

/** Ways to spoil a typed array. */
const TYPED_SPOILERS: Readonly<Record<string, (value: NodeJS.TypedArray) => unknown>> = {
  'another typed array': (value) => new Float64Array(value.length),
  'list for a typed array': (value) => Array.from(value as Iterable<number>),
  'bytes for a typed array': ({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
};

const LARGE: Readonly<Record<string, (at: Place, random: Random) => void>> = {
  'long array': ({ holder, key }, random) => {
    holder[key] = new Array(LONG).fill(pick<unknown>(random, [null, 0, -1, 'x', {}]));
  },
  'long string': ({ holder, key }) => {
    holder[key] = 'x'.repeat(LONG);
  },
  'many fields': ({ holder, key }) => {
    holder[key] = Object.fromEntries(Array.from({ length: MANY }, (_, i) => [`f${i}`, i]));
  },
};

/** The kinds of `spoil`, the large ones included. */
export const SPOILED_KINDS = [...Object.keys(SPOILERS), ...Object.keys(LARGE)];

/** A copy of a valid message that is spoiled somewhere; rarely a large one. It may be valid all the same. */
export function spoil(random: Random, valid: unknown, largeEvery = LARGE_EVERY): HostileValue {
  const root = { message: structuredClone(valid) };
  const isLarge = random() * largeEvery < 1;
  const [kind, change] = pick(random, Object.entries(isLarge ? LARGE : SPOILERS));
  const at = somewhere(random, root);
  const value = at.holder[at.key];
  if (types.isTypedArray(value) && random() < 0.3) {
    const [typedKind, changed] = pick(random, Object.entries(TYPED_SPOILERS));
    at.holder[at.key] = changed(value);
    return { kind: typedKind, value: root.message };
  }
  change(at, random);
  return { kind, value: root.message };
}

/** A value nested so deep. */
export function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function somewhere(random: Random, root: Container): Place {
  let at: Place = { holder: root, key: 'message' };
  // Go deep enough to reach every part, and stay near the top often enough.
  while (random() < 0.75) {
    const value = at.holder[at.key];
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) break;
    const keys = Object.keys(value);
    if (keys.length === 0) break;
    at = { holder: value as Container, key: pick(random, keys) };
  }
  return at;
}
