import { MAX_ELEMENTS } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { HOSTILE_MSGPACK } from '@forge/testing';
import fc from 'fast-check';
import { Packr, Unpackr } from 'msgpackr';
import { KIND, type Frame } from './frame';
import { FrameReader } from './frame-reader';
import { FrameWriter } from './frame-writer';
import { MAX_DEPTH, MAX_FRAME_BYTES } from './frame-bounds';

const result = (value: unknown): Frame => [KIND.result, 1, value];

function bytesOf(...frames: Frame[]): Buffer {
  const writer = new FrameWriter();
  for (const frame of frames) writer.write(frame);
  return Buffer.concat(pieces(writer));
}

function pieces(writer: FrameWriter): Buffer[] {
  const all: Buffer[] = [];
  while (writer.pendingBytes > 0) all.push(Buffer.from(writer.take(2 ** 20)));
  return all;
}

function framesOf(chunks: Iterable<Buffer>, maxFrameBytes = MAX_FRAME_BYTES): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame), maxFrameBytes);
  for (const chunk of chunks) reader.push(chunk);
  return frames;
}

function* split(bytes: Buffer, size: (at: number) => number): Generator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const end = at + Math.max(1, size(at));
    yield bytes.subarray(at, end);
    at = end;
  }
}

/** A frame of which only the content is given. */
function framed(content: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(content.length);
  return Buffer.concat([head, content]);
}

/** The error of what must throw one of ours. */
function thrown(work: () => unknown): ForgeError {
  try {
    work();
  } catch (error) {
    if (error instanceof ForgeError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const leaf = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withTypedArray: true,
    maxDepth: 0,
    withNullPrototype: false,
  }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.bigInt(),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
);
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(fc.string(), tie('value'), { noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((pairs) => new Map(pairs)),
    fc.array(tie('value')).map((list) => new Set(list)),
  ),
}));

describe('frames', () => {
  it('come back as they were written, however they are split', () => {
    const property = fc.property(
      fc.array(anyValue, { maxLength: 4 }),
      fc.integer({ min: 1, max: 40 }),
      (values, size) => {
        const read = framesOf(split(bytesOf(...values.map(result)), (at) => (at * 7) % size));
        expect(read.map(([, , value]) => value)).toStrictEqual(values);
      },
    );
    fc.assert(property, { seed: 3, numRuns: 500 });
  });

  it('are the same msgpack that msgpackr reads, and the reverse', () => {
    const unpackr = new Unpackr({ useRecords: false });
    const packr = new Packr({ useRecords: false, variableMapSize: true });
    const property = fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const plain: unknown = JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto'));
      expect((unpackr.unpack(bytesOf(result(plain)).subarray(4)) as unknown[])[2]).toStrictEqual(plain);
      const theirs = framed(packr.pack([KIND.result, 1, plain]));
      expect(framesOf([theirs])).toStrictEqual([result(plain)]);
    });
    fc.assert(property, { seed: 4, numRuns: 300 });
  });

  it('are gathered without copying again and again', () => {
    const bytes = bytesOf(result(Buffer.alloc(4 * 2 ** 20, 1)));
    const [frame] = framesOf(split(bytes, () => 16));
    expect((frame![2] as Buffer).equals(Buffer.alloc(4 * 2 ** 20, 1))).toBe(true);
  });

  it('cost no memory before they arrive', () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(MAX_FRAME_BYTES);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 50 }, () => new FrameReader(() => undefined, MAX_FRAME_BYTES));
    for (const reader of readers) reader.push(head);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * 128 * 1024);
  });

  it('that are announced larger than allowed are refused at their length', () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(MAX_FRAME_BYTES + 1);
    const error = thrown(() => framesOf(split(head, () => 1)));
    expect(error).toMatchObject({
      code: 'CAPACITY_FRAME_TOO_LARGE',
      details: { sizeBytes: MAX_FRAME_BYTES + 1, limitBytes: MAX_FRAME_BYTES },
    });
  });

  it('that can not be written leave no trace among the others', () => {
    const writer = new FrameWriter();
    const bad = [
      { f: () => 1 },
      Buffer.alloc(MAX_FRAME_BYTES),
      'é'.repeat(MAX_FRAME_BYTES / 2),
      new Array(MAX_ELEMENTS),
    ];
    writer.write(result('first'));
    for (const value of bad) expect(thrown(() => writer.write(result([value])))).toBeInstanceOf(ForgeError);
    writer.write(result('second'));
    expect(framesOf(pieces(writer)).map(([, , value]) => value)).toEqual(['first', 'second']);
  });

  it('are as deep as they may be, and no deeper', () => {
    const nested = (depth: number): unknown => {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : new Map([[1, value]]);
      return value;
    };
    const deepest = nested(MAX_DEPTH - 1);
    expect(framesOf([bytesOf(result(deepest))])[0]![2]).toStrictEqual(deepest);
    const error = thrown(() => bytesOf(result(nested(MAX_DEPTH))));
    expect(error).toMatchObject({ code: 'CONTRACT_UNSERIALIZABLE', message: /nested deeper than 511/ });
  });

  it('name the getter that throws', () => {
    const value = {
      get broken(): never {
        throw new Error('not today');
      },
    };
    expect(thrown(() => bytesOf(result(value)))).toMatchObject({
      code: 'CONTRACT_UNSERIALIZABLE',
      message: /^result is an object with a getter that throws \(Error: not today\)/,
    });
  });

  it('make no prototype of what a peer sends', () => {
    const [frame] = framesOf([bytesOf(result(JSON.parse('{"__proto__": {"polluted": true}}')))]);
    const value = frame![2] as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('bytes that are no frames', () => {
  const codes = ['CONTRACT_PROTOCOL_MISMATCH', 'CAPACITY_FRAME_TOO_LARGE'];

  it.each<readonly [string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['no list', Buffer.from([0x01])],
    ['an unknown kind', Buffer.from([0x92, 99, 0])],
    ['an id that is no count', Buffer.from([0x92, 0, 0xff])],
    ['a value behind the value', Buffer.from([0x92, 0, 0, 0])],
    ['a map that is no list', Buffer.from([0x93, 0, 0, 0xc7, 1, 3, 1])],
    ['a set whose length lies', Buffer.from([0x93, 0, 0, 0xc7, 9, 4, 0x91, 1])],
    [
      'more maps than anyone nests',
      Buffer.concat([
        Buffer.from([0x93, 0, 0]),
        Buffer.alloc(800_000, Buffer.from('c900ffffff039201', 'hex')),
      ]),
    ],
    ...HOSTILE_MSGPACK.map(
      ([what, bytes]) => [what, Buffer.concat([Buffer.from([0x93, 8, 1]), bytes])] as const,
    ),
  ])('are refused: %s', (_what, content) => {
    expect(codes).toContain(thrown(() => framesOf([framed(content)])).code);
  });

  it('are refused with an error of ours, whatever they are', () => {
    const property = fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 1, max: 9 }),
      (noise, size) => {
        try {
          framesOf(split(framed(Buffer.from(noise)), () => size));
        } catch (error) {
          expect(codes).toContain((error as ForgeError).code);
        }
      },
    );
    fc.assert(property, { seed: 5, numRuns: 3_000 });
  });

  it('are refused with an error of ours when a good frame is damaged', () => {
    const good = bytesOf(
      result({ a: [1, 'two', 3n, new Map([[1, new Set([2])]]), new Float32Array(3)], b: new Date(0) }),
    );
    const property = fc.property(
      fc.integer({ min: 4, max: good.length - 1 }),
      fc.integer({ min: 0, max: 255 }),
      (at, byte) => {
        const damaged = Buffer.from(good);
        damaged[at] = byte;
        try {
          framesOf([damaged]);
        } catch (error) {
          expect((error as ForgeError).code).toBe('CONTRACT_PROTOCOL_MISMATCH');
        }
      },
    );
    fc.assert(property, { seed: 6, numRuns: 3_000 });
  });
});
