import { ForgeError } from '@forge/errors';
import { HOSTILE_MSGPACK, hostileBytes, nested, seededRandom } from '@forge/testing';
import fc from 'fast-check';
import { z } from 'zod';
import { EPISODE, MESSAGES } from './any-messages.fixture';
import { check, decode, encode, MAX_MESSAGE_BYTES } from './codec';
import { episodeSchema, groupSchema } from './episode';
import { batchSchema } from './messages';
import { sampleSchema } from './sample';

function refusalOf(schema: z.ZodType, bytes: Uint8Array): ForgeError | null {
  try {
    decode(schema, bytes, 'it');
    return null;
  } catch (error) {
    if (error instanceof ForgeError) return error;
    throw error;
  }
}

describe.each(MESSAGES)('a message: %s', (_, schema, valid) => {
  it('comes out as it went in', () => {
    fc.assert(
      fc.property(valid, (message) => {
        expect(decode(schema, encode(message), 'it')).toEqual(message);
      }),
      { numRuns: 30 },
    );
  });

  it('is refused with a reason when it is broken, or fits', () => {
    fc.assert(
      fc.property(valid, fc.nat(), (message, seed) => {
        const random = seededRandom(seed);
        for (let i = 0; i < 20; i++) {
          const { bytes } = hostileBytes(random, message, encode, Infinity);
          const refusal = refusalOf(schema, bytes);
          if (refusal === null) continue;
          expect(refusal.code).toBe('CONTRACT_INVALID_MESSAGE');
          expect(refusal.message.length).toBeLessThan(400);
          expect(['not-msgpack', 'wrong-version', 'wrong-shape']).toContain(refusal.details.reason);
        }
        expect(Object.prototype).not.toHaveProperty('polluted');
      }),
      { numRuns: 30 },
    );
  });

  it('is refused wherever it is cut off', () => {
    fc.assert(
      fc.property(valid, (message) => {
        const bytes = encode(message);
        for (let length = 0; length < bytes.length; length++)
          expect(refusalOf(schema, bytes.subarray(0, length))?.details.reason).toBe('not-msgpack');
      }),
      { numRuns: 5 },
    );
  });

  it('has no number that is not finite', () => {
    const spoilNumbers = (value: unknown, by: number): unknown => {
      if (typeof value === 'number') return by;
      if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
      if (Array.isArray(value)) return value.map((one) => spoilNumbers(one, by));
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, spoilNumbers(one, by)]));
    };
    fc.assert(
      fc.property(valid, fc.constantFrom(NaN, Infinity, -Infinity), (message, by) => {
        const spoiled = spoilNumbers(message, by);
        const hasNumber = JSON.stringify(spoiled) !== JSON.stringify(message);
        expect(schema.safeParse(spoiled).success).toBe(!hasNumber);
      }),
      { numRuns: 20 },
    );
  });
});

describe('fields of an entry per token', () => {
  const faultOf = (wrong: object): string | undefined =>
    episodeSchema.safeParse({ ...EPISODE, ...wrong }).error?.issues[0]?.message;

  it('travel as their bytes: 4 for a token, a log-prob and a version each, 1 for the mask', () => {
    const tokens = 10_000;
    const long = {
      tokenIds: new Int32Array(tokens).fill(70_000),
      mask: new Uint8Array(tokens).fill(1),
      logprobs: new Float32Array(tokens).fill(-1 / 3),
      versions: new Int32Array(tokens).fill(70_000),
    };
    const bytes = encode({ ...EPISODE, ...long });
    expect(bytes.length).toBeLessThan(13 * tokens + 200);
    expect(decode(episodeSchema, bytes, 'episode')).toEqual({ ...EPISODE, ...long });
  });

  it('come out aligned, wherever they lay in the message', () => {
    for (let text = ''; text.length < 8; text += 'x') {
      const group = { text, episodes: [EPISODE] };
      const found = decode(
        z.strictObject({ text: z.string(), episodes: z.array(episodeSchema) }),
        encode(group),
        'it',
      );
      expect(found).toEqual(group);
    }
  });

  it.each([
    ['NaN', { logprobs: Float32Array.of(0, NaN, -1) }, 'expected a finite number <= 0 at 1, found NaN'],
    [
      'an infinite number',
      { logprobs: Float32Array.of(0, -1, -Infinity) },
      'expected a finite number <= 0 at 2, found -Infinity',
    ],
    [
      'a log-prob above 0',
      { logprobs: Float32Array.of(0, 0.5, -1) },
      'expected a finite number <= 0 at 1, found 0.5',
    ],
    [
      'NaN of the reference',
      { referenceLogprobs: Float32Array.of(NaN, 0, 0) },
      'expected a finite number at 0, found NaN',
    ],
    ['a negative token', { tokenIds: Int32Array.of(3, -4, 5) }, 'expected an int >= 0 at 1, found -4'],
    ['a version below -1', { versions: Int32Array.of(-2, 7, 7) }, 'expected an int >= -1 at 0, found -2'],
    ['a mask of 2', { mask: Uint8Array.of(0, 2, 1) }, 'expected 0 or 1 at 1, found 2'],
    ['a list', { tokenIds: [3, 4, 5] }, 'expected an Int32Array'],
    ['bytes', { tokenIds: Buffer.alloc(12) }, 'expected an Int32Array'],
    ['doubles', { logprobs: new Float64Array(3) }, 'expected a Float32Array'],
    [
      'what calls itself a typed array',
      { mask: { length: 3, [Symbol.toStringTag]: 'Uint8Array' } },
      'expected an Uint8Array',
    ],
    [
      'another length',
      { logprobs: new Float32Array(2) },
      'mask, logprobs, versions and referenceLogprobs must be as long as tokenIds',
    ],
    [
      'more than there can be',
      { tokenIds: new Int32Array(2 ** 20 + 1) },
      'expected at most 1048576 numbers, found 1048577',
    ],
  ])('are refused in words when they hold %s', (_, wrong, words) => {
    expect(faultOf(wrong)).toBe(words);
  });

  it('of a message of the version before are refused as such', () => {
    const old = {
      ...EPISODE,
      tokenIds: [3, 4, 5],
      mask: [0, 1, 1],
      logprobs: [0, -0.5, -1],
      versions: [-1, 7, 7],
    };
    const message = {
      schemaVersion: 1,
      runId: 'r',
      index: 0,
      sampleId: 's',
      promptText: '',
      replica: '0',
      weightHashes: {},
      episodes: [old],
    };
    expect(() => decode(groupSchema, encode(message), 'group 0')).toThrow(
      expect.objectContaining({
        message:
          'group 0: schemaVersion: found version 1, expected 2 to 4: a version of Forge wrote it that does not run beside this one; run the same version everywhere',
        details: { what: 'group 0', reason: 'wrong-version', field: 'schemaVersion' },
      }),
    );
  });
});

describe('encode', () => {
  it('names what is no data', () => {
    expect(() => encode({ list: [{ f: () => 1 }] })).toThrow(
      "message.list[0].f is a function, which can't be written",
    );
  });
});

describe('decode', () => {
  const reasonOf = (bytes: Uint8Array): unknown => refusalOf(groupSchema, bytes)?.details.reason;

  it.each<readonly [string, Buffer]>([
    ...HOSTILE_MSGPACK,
    ['a map, which only frames carry', Buffer.from('c7020391c0', 'hex')],
    ['a date, which only frames carry', encode(new Date(0))],
    ['a bigint of 200 bits, which only frames carry', encode(2n ** 200n)],
  ])('refuses %s', (_, bytes) => {
    expect(reasonOf(bytes)).toBe('not-msgpack');
  });

  it('refuses too many bytes unread, and a field that is missing', () => {
    expect(reasonOf(Buffer.alloc(MAX_MESSAGE_BYTES + 1))).toBe('too-large');
    expect(() => decode(groupSchema, undefined, 'group')).toThrow(
      'group: the field of the message is missing',
    );
  });

  it.each([
    ['tokens', { tokenIds: new Array(1e6).fill(null) }],
    ['rewards', { rewards: Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [i, null])) }],
  ])('says one thing about a million wrong %s', (field, wrong) => {
    const found = episodeSchema.safeParse({ ...EPISODE, ...wrong });
    expect(found.error?.issues.map(({ path }) => path.join('.'))).toEqual([Object.keys(wrong)[0]]);
    expect(field).toBeTruthy();
  });

  it('looks at no more episodes than a group may have', () => {
    const message = {
      schemaVersion: 3,
      runId: 'r',
      index: 0,
      sampleId: 's',
      promptText: '',
      replica: '0',
      weightHashes: {},
      episodes: new Array(1e6).fill({}),
    };
    expect(groupSchema.safeParse(message).error?.issues).toMatchObject([
      { path: ['episodes'], message: 'expected at most 1024' },
    ]);
  });

  it.each([
    ['NaN', [1, NaN], 'expected a finite number or an array of such, found NaN at 1'],
    ['words', ['much'], 'expected a finite number or an array of such, found string at 0'],
    [
      'a token of which is infinite',
      [Float32Array.of(0, Infinity)],
      'expected finite numbers, found Infinity at 0',
    ],
    ['a list', [[0, 1]], 'expected a finite number or a Float32Array at 0'],
    ['too many', new Array(1025).fill(0), 'expected at most 1024 of them, found 1025'],
    [
      'of too many tokens',
      [new Float32Array(2 ** 20 + 1)],
      'expected at most 1048576 numbers, found 1048577 at 0',
    ],
    ['none at all', null, 'expected an array'],
  ])('says what is wrong with advantages that are %s', (_, advantages, words) => {
    const batch = { schemaVersion: 4, version: 0, groups: [{ index: 0, advantages }], statistics: {} };
    expect(() => check(batchSchema, batch, 'batch')).toThrow(`batch: groups.0.advantages: ${words}`);
  });

  it('tells an old version from a wrong shape', () => {
    expect(() =>
      check(batchSchema, { schemaVersion: 1, step: 0, groups: [], statistics: {} }, 'batch'),
    ).toThrow(
      expect.objectContaining({
        details: { what: 'batch', reason: 'wrong-version', field: 'schemaVersion' },
      }),
    );
  });

  it('carries a nesting that it would take', () => {
    const message = { id: 's', prompt: 'p', metadata: { deep: nested(50) } };
    expect(decode(sampleSchema, encode(message), 'sample')).toEqual(message);
  });
});
