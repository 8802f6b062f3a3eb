import { types } from 'node:util';
import { z } from 'zod';

/*
 * Large parts of messages. zod reports every element that does not fit: a million of them are a second of work and
 * hundreds of megabytes for a message of one. These stop at the first, and look at a length before they look inside.
 */

/** Longest sequence of tokens, and of anything that has an entry per token. */
export const MAX_TOKENS = 2 ** 20;
/** Largest reward, either way: sums of its squares stay finite, also as float32. */
export const MAX_REWARD = 1e12;
const MAX_NAMES = 256;
const MAX_NAME_LENGTH = 256;

/** A sort of numbers, of which an array has one each: for readers, in words, and as JSON Schema. */
export interface Sort {
  isOne: (value: number) => boolean;
  expected: string;
  schema: Readonly<Record<string, unknown>>;
}

const sort = (isOne: Sort['isOne'], expected: string, schema: Sort['schema']): Sort => ({
  isOne,
  expected,
  schema,
});
const isLogprob = (value: number): boolean => Number.isFinite(value) && value <= 0;

export const COUNT = sort((value) => Number.isSafeInteger(value) && value >= 0, 'an int >= 0', {
  type: 'integer',
  minimum: 0,
});
export const LOGPROB = sort(isLogprob, 'a finite number <= 0', { type: 'number', maximum: 0 });
export const FINITE = sort(Number.isFinite, 'a finite number', { type: 'number' });
/** The policy version of a token; -1 where no policy chose it. */
export const VERSION = sort((version) => version >= -1, 'an int >= -1', { type: 'integer', minimum: -1 });
/** Whether the policy chose a token. */
export const CHOICE = sort((chosen) => chosen <= 1, '0 or 1', { enum: [0, 1] });

/** An array of numbers of one sort. */
export function numbers({ isOne, expected, schema }: Sort, maxLength = MAX_TOKENS) {
  const faultOf = (value: unknown): string | null => {
    if (!Array.isArray(value)) return 'expected an array';
    if (value.length > maxLength) return `expected at most ${maxLength} numbers, found ${value.length}`;
    const at = value.findIndex((one) => typeof one !== 'number' || !isOne(one));
    return at < 0 ? null : `expected ${expected} at ${at}, found ${shown(value[at])}`;
  };
  return z
    .custom<number[]>((value) => faultOf(value) === null, { error: ({ input }) => faultOf(input) ?? '' })
    .meta({ type: 'array', items: schema, maxItems: maxLength });
}

/** Tests for each typed array, by the name that msgpack and errors give it. */
const TYPED = {
  Int32Array: types.isInt32Array,
  Float32Array: types.isFloat32Array,
  Uint8Array: types.isUint8Array,
};
interface TypedArrays {
  Int32Array: Int32Array;
  Float32Array: Float32Array;
  Uint8Array: Uint8Array;
}

/** A typed array with an entry per token, of one sort. */
export function perToken<Name extends keyof TypedArrays>(name: Name, { isOne, expected, schema }: Sort) {
  const faultOf = (value: unknown): string | null => {
    if (!TYPED[name](value)) return `expected ${/^[IU]/.test(name) ? 'an' : 'a'} ${name}`;
    const { length } = value;
    if (length > MAX_TOKENS) return `expected at most ${MAX_TOKENS} numbers, found ${length}`;
    for (let at = 0; at < length; at++)
      if (!isOne(value[at]!)) return `expected ${expected} at ${at}, found ${value[at]}`;
    return null;
  };
  return z
    .custom<TypedArrays[Name]>((value) => faultOf(value) === null, {
      error: ({ input }) => faultOf(input) ?? '',
    })
    .meta(typedArray(name, schema));
}

/** JSON Schema of bytes, as golden messages show them. */
export const BINARY = {
  description: 'msgpack bin',
  type: 'object' as const,
  properties: { bin: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 255 } } },
  required: ['bin'],
  additionalProperties: false,
};

/** JSON Schema of a typed array, as golden messages show it. */
export function typedArray(name: keyof TypedArrays, items: Sort['schema']) {
  const key = name.replace('Array', '').toLowerCase();
  return {
    description: `msgpack extension 5, ${name}`,
    type: 'object' as const,
    properties: { [key]: { type: 'array', items, maxItems: MAX_TOKENS } },
    required: [key],
    additionalProperties: false,
  };
}

/** An array of at most so many of something. */
export function atMost<S extends z.ZodType>(maxLength: number, element: S) {
  const isShort = (value: unknown): boolean => !Array.isArray(value) || value.length <= maxLength;
  return z
    .custom<z.input<S>[]>(isShort, { error: `expected at most ${maxLength}`, abort: true })
    .pipe(z.array(element).meta({ maxItems: maxLength }));
}

/** Finite numbers by name, of at most some size. */
export function namedNumbers(maxSize = Number.MAX_VALUE) {
  const isNamed = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return false;
    if (Object.getPrototypeOf(value) !== Object.prototype) return false;
    const entries = Object.entries(value);
    const fits = ([name, one]: [string, unknown]): boolean =>
      name.length <= MAX_NAME_LENGTH && typeof one === 'number' && Math.abs(one) <= maxSize;
    return entries.length <= MAX_NAMES && entries.every(fits);
  };
  const bounds = maxSize === Number.MAX_VALUE ? {} : { minimum: -maxSize, maximum: maxSize };
  return z
    .custom<Record<string, number>>(isNamed, {
      error: `expected at most ${MAX_NAMES} finite numbers by name`,
    })
    .meta({
      type: 'object',
      propertyNames: { maxLength: MAX_NAME_LENGTH },
      additionalProperties: { type: 'number', ...bounds },
      maxProperties: MAX_NAMES,
    });
}

export function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value;
}
