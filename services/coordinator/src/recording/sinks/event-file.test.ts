import { crc32c, maskedChecksum, scalarsEvent, versionEvent } from './event-file';

/** Fields of a protobuf message: number, and a varint, 8 or 4 bytes, or bytes. */
function fields(bytes: Buffer): [number, number | Buffer][] {
  const found: [number, number | Buffer][] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Buffer => bytes.subarray(at, (at += length));
  while (at < bytes.length) {
    const tag = varint();
    const content = { 0: varint, 1: () => take(8), 2: () => take(varint()), 5: () => take(4) }[tag & 7]!;
    found.push([tag >> 3, content()]);
  }
  return found;
}

function unframed(frame: Buffer): Buffer {
  const data = frame.subarray(12, -4);
  expect(frame.readBigUInt64LE(0)).toBe(BigInt(data.length));
  expect(frame.readUInt32LE(8)).toBe(maskedChecksum(frame.subarray(0, 8)));
  expect(frame.readUInt32LE(frame.length - 4)).toBe(maskedChecksum(data));
  return data;
}

describe('event files', () => {
  it('have the checksum of RFC 3720, masked', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    // TensorBoard's own writer gives this for the length 24.
    expect(maskedChecksum(Buffer.from('1800000000000000', 'hex'))).toBe(0x224b7fa3);
  });

  it('begin with their version', () => {
    const event = fields(unframed(versionEvent(1500)));
    expect((event[0]![1] as Buffer).readDoubleLE()).toBe(1.5);
    expect(event[1]).toEqual([3, Buffer.from('brain.Event:2')]);
  });

  it('have a value for every metric of a step', () => {
    const row = { step: 300, atMs: 2000, values: { 'reward/mean': 0.5, ['x'.repeat(200)]: -2 } };
    const [time, step, summary] = fields(unframed(scalarsEvent(row)));
    expect((time![1] as Buffer).readDoubleLE()).toBe(2);
    expect(step).toEqual([2, 300]);
    const values = fields(summary![1] as Buffer).map(([, value]) => {
      const [tag, simple] = fields(value as Buffer);
      return [String(tag![1]), (simple![1] as Buffer).readFloatLE()];
    });
    expect(Object.fromEntries(values)).toEqual(row.values);
  });
});
