import type { SinkRow } from './metric-sink';

/**
 * TensorBoard's event files: TFRecord frames of `Event` messages in protobuf. Only what scalars need.
 *
 * @see https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
 * @see https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
 */

/** The first record of a file: its format. */
export function versionEvent(atMs: number): Buffer {
  return record(Buffer.concat([wallTime(atMs), lengthDelimited(3, Buffer.from('brain.Event:2'))]));
}

/** The record of a row: one `Summary` with a value for each metric. */
export function scalarsEvent({ step, atMs, values }: SinkRow): Buffer {
  const summary = Object.entries(values).map(([tag, value]) =>
    lengthDelimited(1, Buffer.concat([lengthDelimited(1, Buffer.from(tag)), float(2, value)])),
  );
  const stepField = Buffer.concat([Buffer.of((2 << 3) | VARINT), varint(step)]);
  return record(Buffer.concat([wallTime(atMs), stepField, lengthDelimited(5, Buffer.concat(summary))]));
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

function wallTime(atMs: number): Buffer {
  const field = Buffer.alloc(9);
  field[0] = (1 << 3) | FIXED64;
  field.writeDoubleLE(atMs / 1000, 1);
  return field;
}

function float(number: number, value: number): Buffer {
  const field = Buffer.alloc(5);
  field[0] = (number << 3) | FIXED32;
  field.writeFloatLE(value, 1);
  return field;
}

function lengthDelimited(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of((number << 3) | LENGTH_DELIMITED), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.of(...bytes, rest);
}

/** Length, its checksum, the data, their checksum. */
function record(data: Buffer): Buffer {
  const frame = Buffer.alloc(data.length + 16);
  frame.writeBigUInt64LE(BigInt(data.length), 0);
  frame.writeUInt32LE(maskedChecksum(frame.subarray(0, 8)), 8);
  data.copy(frame, 12);
  frame.writeUInt32LE(maskedChecksum(data), 12 + data.length);
  return frame;
}

/** CRC-32C, rotated and offset as TFRecord has it. */
export function maskedChecksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Castagnoli's polynomial; that of `node:zlib` is another. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffff_ffff) >>> 0;
}
