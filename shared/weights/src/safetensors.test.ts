import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { decodeBfloat16, encodeBfloat16 } from './half-precision';
import { parametersHash, type Parameters } from './parameters';
import { inspectBlob } from './blob';
import { hashSafetensors, readSafetensors, writeSafetensors } from './safetensors';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'forge-safetensors-'));
  file = path.join(dir, 'w.safetensors');
});
afterEach(() => rm(dir, { recursive: true }));

const parameters = (): Parameters =>
  new Map([
    ['b', { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 1 / 3, 0, -0) }],
    ['a', { shape: [], data: Float32Array.of(7) }],
    ['empty', { shape: [0, 4], data: new Float32Array(0) }],
  ]);

/** A file of `header` (text, or an object made JSON) and `dataBytes` zero bytes. */
async function writeRaw(header: string | object, dataBytes: number, headerLength?: bigint): Promise<void> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(headerLength ?? BigInt(json.length));
  await writeFile(file, Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]));
}

const corruption = (message: string): object => ({
  code: 'CONTRACT_WEIGHTS_CORRUPT',
  message: expect.stringContaining(`${file}: ${message}`),
});

describe('safetensors', () => {
  it('lays a file out as the format says', async () => {
    await writeSafetensors(file, new Map([['x', { shape: [2], data: Float32Array.of(1, 2) }]]), {
      dtype: 'BF16',
      metadata: { format: 'pt' },
    });
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    expect(JSON.parse(bytes.subarray(8, 8 + length).toString())).toEqual({
      __metadata__: { format: 'pt' },
      x: { dtype: 'BF16', shape: [2], data_offsets: [0, 4] },
    });
    expect(bytes.subarray(8 + length).toString('hex')).toBe('803f0040');
  });

  it('gives F32 parameters back as the same bits', async () => {
    await writeSafetensors(file, parameters(), { dtype: 'F32' });
    const read = await readSafetensors(file);
    expect(parametersHash(read)).toBe(parametersHash(parameters()));
    expect(read.get('b')).toEqual(parameters().get('b'));
  });

  it('rounds F16 and BF16 once: a second save and load changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('F16' as const, 'BF16' as const),
        fc.float32Array({ max: 65504, min: -65504, noNaN: true, maxLength: 32 }),
        async (dtype, data) => {
          await writeSafetensors(file, new Map([['x', { shape: [data.length], data }]]), { dtype });
          const once = await readSafetensors(file);
          const tolerance = dtype === 'F16' ? 2 ** -11 : 2 ** -8;
          once.get('x')!.data.forEach((value, i) => {
            expect(Math.abs(value - data[i]!)).toBeLessThanOrEqual(Math.abs(data[i]!) * tolerance + 2 ** -25);
          });
          await writeSafetensors(file, once, { dtype });
          expect(parametersHash(await readSafetensors(file))).toBe(parametersHash(once));
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each(['F32', 'F16', 'BF16'] as const)(
    'reads and writes %s over many pieces, and hashes it on the way',
    async (dtype) => {
      // Not a whole number of pieces of 4 MiB, in either size of a value.
      const data = new Float32Array((2 << 20) + 3).map((_, i) => ((i % 509) - 254) / 4);
      const whole: Parameters = new Map([
        ['x', { shape: [data.length], data }],
        ['y', { shape: [3], data: Float32Array.of(1, 2, 3) }],
      ]);
      const written = await writeSafetensors(file, whole, { dtype });
      expect(written).toEqual(await inspectBlob(file));
      expect(hashSafetensors(whole, { dtype })).toBe(written.sha256);
      const read = (await readSafetensors(file)).get('x')!.data;
      // Quarters up to 64 are exact in F16, not in BF16.
      const expected = dtype === 'BF16' ? decodeBfloat16(encodeBfloat16(data)) : data;
      expect(Buffer.from(read.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
      expect(read.buffer.byteLength).toBe(4 * data.length);
    },
  );

  it('finds a tensor behind 6 GiB of others', async () => {
    const size = 6 * 2 ** 30;
    const header = {
      large: { dtype: 'F32', shape: [size / 4], data_offsets: [0, size] },
      last: { dtype: 'F32', shape: [2], data_offsets: [size, size + 8] },
    };
    await writeRaw(header, 0);
    const start = (await stat(file)).size;
    const handle = await open(file, 'r+');
    // A sparse file: what was never written takes no place on the disk.
    await handle.write(Buffer.from(Float32Array.of(3, 4).buffer), 0, 8, start + size);
    await handle.close();
    expect([...(await readSafetensors(file, (name) => name === 'last'))]).toEqual([
      ['last', { shape: [2], data: Float32Array.of(3, 4) }],
    ]);
  });

  it('writes equal bytes whatever the order of the parameters', async () => {
    await writeSafetensors(file, parameters(), { dtype: 'F32' });
    const first = await readFile(file);
    await writeSafetensors(file, new Map([...parameters()].reverse()), { dtype: 'F32' });
    expect(await readFile(file)).toEqual(first);
  });

  it('refuses a value too large for F16 and leaves no file behind', async () => {
    const large: Parameters = new Map([['x', { shape: [2], data: Float32Array.of(Infinity, 70_000) }]]);
    await expect(writeSafetensors(file, large, { dtype: 'F16' })).rejects.toMatchObject({
      code: 'NUMERIC_NON_FINITE',
      message: expect.stringMatching(/"x": 70000 is too large for F16/),
    });
    expect(await readdir(dir)).toEqual([]);
  });

  it('refuses parameters whose shape and data disagree', async () => {
    const wrong: Parameters = new Map([['x', { shape: [3], data: Float32Array.of(1, 2) }]]);
    await expect(writeSafetensors(file, wrong, { dtype: 'F32' })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
  });
});

describe('a damaged safetensors file', () => {
  const x = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

  it('is missing', async () => {
    await expect(readSafetensors(file)).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: expect.stringContaining(file),
    });
  });

  it('is refused at every length it can be cut to', async () => {
    await writeSafetensors(file, parameters(), { dtype: 'F32' });
    const bytes = await readFile(file);
    for (let length = 0; length < bytes.length; length++) {
      await writeFile(file, bytes.subarray(0, length));
      await expect(readSafetensors(file)).rejects.toMatchObject({ code: 'CONTRACT_WEIGHTS_CORRUPT' });
    }
  });

  it.each<[string, string | object, number, bigint | undefined, string]>([
    ['header longer than the file', { x }, 8, 1000n, 'bad header length: found 1000, expected 2 to 62'],
    ['huge header length', { x }, 8, 2n ** 63n, 'bad header length: found 9223372036854775808'],
    ['no header', { x }, 8, 0n, 'bad header length: found 0'],
    ['header that is no JSON', '{"x": ', 8, undefined, 'the header is not JSON'],
    ['header that is no object', '[1, 2]', 8, undefined, 'the header is not a JSON object'],
    [
      'bytes missing at the end',
      { x },
      7,
      undefined,
      'truncated: tensor "x" ends at byte 70, found 69 bytes',
    ],
    ['bytes left over at the end', { x }, 9, undefined, 'found 71 bytes, expected 70, where "x" ends'],
    [
      'offsets beyond the file',
      { x, y: { ...x, data_offsets: [8, 16] } },
      8,
      undefined,
      'truncated: tensor "y" ends at byte',
    ],
    [
      'overlap',
      { x, y: { ...x, data_offsets: [4, 12] } },
      12,
      undefined,
      'tensor "y" overlaps "x": it begins at byte',
    ],
    ['gap', { x: { ...x, data_offsets: [4, 12] } }, 12, undefined, 'gap before tensor "x"'],
    [
      'byte count that does not fit the shape',
      { x: { ...x, shape: [3] } },
      8,
      undefined,
      'tensor "x": found 8 bytes, expected 12 for F32 of shape [3]',
    ],
    ['dtype that is no text', { x: { ...x, dtype: 8 } }, 8, undefined, 'tensor "x": bad dtype: found 8'],
    ['negative size', { x: { ...x, shape: [-2] } }, 8, undefined, 'tensor "x": bad shape: found [-2]'],
    [
      'offsets in the wrong order',
      { x: { ...x, data_offsets: [8, 0] } },
      8,
      undefined,
      'tensor "x": bad data_offsets: found [8,0]',
    ],
    ['description that is no object', { x: 5 }, 8, undefined, 'tensor "x": its description is not an object'],
  ])('is refused with the cause: %s', async (_, header, dataBytes, length, message) => {
    await writeRaw(header, dataBytes, length);
    await expect(readSafetensors(file)).rejects.toMatchObject(corruption(message));
  });
});

describe('a tensor whose dtype we do not read', () => {
  const header = {
    table: { dtype: 'F64', shape: [2], data_offsets: [0, 16] },
    packed: { dtype: 'F4', shape: [4], data_offsets: [16, 18] },
    x: { dtype: 'BF16', shape: [2], data_offsets: [18, 22] },
  };

  it('is no obstacle to the others while nobody wants it', async () => {
    await writeRaw(header, 22);
    expect([...(await readSafetensors(file, (name) => name === 'x'))]).toEqual([
      ['x', { shape: [2], data: Float32Array.of(0, 0) }],
    ]);
  });

  it('is refused by name and dtype, not as damage, when it is wanted', async () => {
    await writeRaw(header, 22);
    const message = `${file}: tensor "table": dtype: found "F64", expected F32, F16, BF16`;
    await expect(readSafetensors(file)).rejects.toMatchObject({ code: 'CONFIG_MODEL_UNSUPPORTED', message });
  });
});
