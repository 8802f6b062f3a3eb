import { types } from 'node:util';
import { ForgeError } from '@forge/errors';
import type { Frame } from './frame';
import { isPlain, refusalIn } from './refusal';
import {
  ELEMENT_TYPES,
  EXTENSION,
  frameTooLarge,
  MAX_DEPTH,
  MAX_ELEMENTS,
  MAX_FRAME_BYTES,
} from './value-format';

const CHUNK_BYTES = 64 * 1024;
const HEADER_BYTES = 4;
/** Characters up to which a string that is ASCII is written in place; longer ones are left to the runtime. */
const SHORT_STRING = 31;
/** Characters up to which three bytes each are reserved without a look at them. */
const LONG_STRING = 64 * 1024;
/** More may be reserved than is then written. */
const SLACK_BYTES = 4 * LONG_STRING;
const TYPE_NAMES = ELEMENT_TYPES.map(({ name }) => name);

/** What can't be written; which value it was is looked for afterwards, so that writing keeps no path. */
const REFUSED = new Error('refused');

/**
 * Writes frames one behind the other, each a u32 length and msgpack, until they are taken. A frame that can't be
 * written leaves no trace. The bytes that were taken are left alone until `rewind`, so they need not be copied.
 */
export class FrameWriter {
  private chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  private view = viewOf(this.chunk);
  /** Full chunks that are not taken yet. */
  private readonly full: Buffer[] = [];
  private fullBytes = 0;
  /** Of the chunk: where the bytes that are not taken start, the frame being written, and the next byte. */
  private start = 0;
  private frame = 0;
  private at = 0;
  private elementsLeft = 0;

  get pendingBytes(): number {
    return this.fullBytes + this.at - this.start;
  }

  /**
   * @throws {ForgeError} CONTRACT_UNSERIALIZABLE naming the path of the value that can't travel;
   *   CAPACITY_FRAME_TOO_LARGE.
   */
  write(frame: Frame): void {
    this.frame = this.at;
    this.elementsLeft = MAX_ELEMENTS;
    try {
      this.reserve(HEADER_BYTES);
      this.at += HEADER_BYTES;
      this.value(frame, 0);
      const sizeBytes = this.at - this.frame - HEADER_BYTES;
      if (sizeBytes > MAX_FRAME_BYTES) throw frameTooLarge(sizeBytes);
      this.view.setUint32(this.frame, sizeBytes);
    } catch (error) {
      this.at = this.frame;
      // Also of a frame that is too large: a cycle may be what made it so.
      throw refusalIn(frame) ?? error;
    } finally {
      if (this.chunk.length > CHUNK_BYTES) this.renew(CHUNK_BYTES, this.at);
    }
  }

  /** The oldest bytes, at most `maxBytes`; empty when there are none. */
  take(maxBytes: number): Buffer {
    const oldest = this.full[0];
    if (oldest === undefined) {
      const end = Math.min(this.at, this.start + maxBytes);
      const bytes = this.chunk.subarray(this.start, end);
      this.start = end;
      return bytes;
    }
    const bytes = oldest.subarray(0, maxBytes);
    if (bytes.length < oldest.length) this.full[0] = oldest.subarray(maxBytes);
    else this.full.shift();
    this.fullBytes -= bytes.length;
    return bytes;
  }

  /** All that was taken is out of our hands: its memory is used again. */
  rewind(): void {
    if (this.pendingBytes > 0) return;
    this.start = 0;
    this.at = 0;
  }

  private value(value: unknown, depth: number): void {
    this.reserve(9);
    switch (typeof value) {
      case 'string':
        return this.string(value);
      case 'number':
        return this.number(value);
      case 'boolean':
        this.chunk[this.at++] = value ? 0xc3 : 0xc2;
        return;
      case 'undefined':
        this.chunk[this.at++] = 0xd4;
        this.chunk[this.at++] = EXTENSION.undefined;
        this.chunk[this.at++] = 0;
        return;
      case 'bigint':
        return this.bigint(value);
      case 'object':
        if (value === null) this.chunk[this.at++] = 0xc0;
        else this.object(value, depth + 1);
        return;
      default:
        throw REFUSED;
    }
  }

  private number(value: number): void {
    if ((value | 0) !== value || Object.is(value, -0)) {
      this.chunk[this.at] = 0xcb;
      this.view.setFloat64(this.at + 1, value);
      this.at += 9;
    } else if (value >= -32 && value < 128) {
      this.chunk[this.at++] = value & 0xff;
    } else if (value >= 0 && value < 0x10000) {
      this.chunk[this.at] = 0xcd;
      this.view.setUint16(this.at + 1, value);
      this.at += 3;
    } else {
      this.chunk[this.at] = 0xd2;
      this.view.setInt32(this.at + 1, value);
      this.at += 5;
    }
  }

  private string(value: string): void {
    const { length } = value;
    this.reserve(5 + (length <= LONG_STRING ? 3 * length : Buffer.byteLength(value)));
    if (length <= SHORT_STRING) {
      let at = this.at + 1;
      let seen = 0;
      for (let i = 0; i < length; i++) {
        const code = value.charCodeAt(i);
        seen |= code;
        this.chunk[at++] = code;
      }
      if (seen < 0x80) {
        this.chunk[this.at] = 0xa0 | length;
        this.at = at;
        return;
      }
    }
    this.chunk[this.at] = 0xdb;
    const written = this.chunk.write(value, this.at + 5);
    this.view.setUint32(this.at + 1, written);
    this.at += 5 + written;
  }

  private bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) === value) {
      this.chunk[this.at] = 0xd3;
      this.view.setBigInt64(this.at + 1, value);
      this.at += 9;
      return;
    }
    const digits = (value < 0n ? -value : value).toString(16);
    const magnitude = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
    this.extension(EXTENSION.bigint, value < 0n ? 1 : 0, magnitude);
  }

  private object(value: object, depth: number): void {
    if (depth > MAX_DEPTH) throw REFUSED;
    if (Array.isArray(value)) {
      this.elements(value.length);
      for (let i = 0; i < value.length; i++) this.value(value[i], depth);
    } else if (isPlain(value)) {
      const keys = Object.keys(value);
      this.spend(keys.length);
      this.header(0x80, 0xde, keys.length);
      for (const key of keys) {
        this.string(key);
        this.value((value as Record<string, unknown>)[key], depth);
      }
    } else if (Buffer.isBuffer(value)) {
      this.reserve(5 + value.length);
      this.chunk[this.at] = 0xc6;
      this.view.setUint32(this.at + 1, value.length);
      this.chunk.set(value, this.at + 5);
      this.at += 5 + value.length;
    } else if (types.isTypedArray(value)) {
      const { buffer, byteOffset, byteLength } = value;
      const type = TYPE_NAMES.indexOf(value[Symbol.toStringTag]);
      this.extension(EXTENSION.typedArray, type, new Uint8Array(buffer, byteOffset, byteLength));
    } else if (types.isArrayBuffer(value)) {
      this.extension(EXTENSION.typedArray, 0, new Uint8Array(value));
    } else if (types.isDate(value)) {
      this.reserve(11);
      this.chunk[this.at] = 0xc7;
      this.chunk[this.at + 1] = 8;
      this.chunk[this.at + 2] = EXTENSION.date;
      this.view.setFloat64(this.at + 3, value.getTime());
      this.at += 11;
    } else if (types.isMap(value)) {
      this.nested(EXTENSION.map, () => {
        this.elements(2 * value.size);
        for (const [key, item] of value) {
          this.value(key, depth);
          this.value(item, depth);
        }
      });
    } else if (types.isSet(value)) {
      this.nested(EXTENSION.set, () => {
        this.elements(value.size);
        for (const item of value) this.value(item, depth);
      });
    } else {
      throw REFUSED;
    }
  }

  private elements(count: number): void {
    this.spend(count);
    this.header(0x90, 0xdc, count);
  }

  private spend(elements: number): void {
    this.elementsLeft -= elements;
    if (this.elementsLeft >= 0) return;
    throw new ForgeError(
      'CAPACITY_FRAME_TOO_LARGE',
      `more than ${MAX_ELEMENTS} elements in arrays and objects; send numbers as typed arrays, or less at once`,
      { limitElements: MAX_ELEMENTS },
    );
  }

  /** The head of an array or map: up to 15, 16 bits, or 32. */
  private header(short: number, long: number, count: number): void {
    this.reserve(5);
    if (count < 16) {
      this.chunk[this.at++] = short | count;
    } else if (count < 0x10000) {
      this.chunk[this.at] = long;
      this.view.setUint16(this.at + 1, count);
      this.at += 3;
    } else {
      this.chunk[this.at] = long + 1;
      this.view.setUint32(this.at + 1, count);
      this.at += 5;
    }
  }

  private extension(type: number, first: number, rest: Uint8Array): void {
    this.reserve(7 + rest.length);
    this.chunk[this.at] = 0xc9;
    this.view.setUint32(this.at + 1, rest.length + 1);
    this.chunk[this.at + 5] = type;
    this.chunk[this.at + 6] = first;
    this.chunk.set(rest, this.at + 7);
    this.at += 7 + rest.length;
  }

  /** An extension whose content is msgpack itself; its length is known once it is written. */
  private nested(type: number, content: () => void): void {
    this.reserve(6);
    this.chunk[this.at] = 0xc9;
    this.chunk[this.at + 5] = type;
    this.at += 6;
    // From the frame, which moves when it outgrows its chunk.
    const begin = this.at - this.frame;
    content();
    const start = this.frame + begin;
    this.view.setUint32(start - 5, this.at - start);
  }

  /** Makes room for as many bytes. */
  private reserve(sizeBytes: number): void {
    if (this.at + sizeBytes <= this.chunk.length) return;
    const needed = this.at - this.frame + sizeBytes;
    if (needed > MAX_FRAME_BYTES + SLACK_BYTES) throw frameTooLarge(needed);
    this.renew(Math.max(CHUNK_BYTES, 2 * needed), this.frame);
  }

  /** Goes on in a new chunk with what is at and behind `from`. */
  private renew(capacity: number, from: number): void {
    const old = this.chunk;
    if (from > this.start) {
      this.full.push(old.subarray(this.start, from));
      this.fullBytes += from - this.start;
    }
    this.chunk = Buffer.allocUnsafeSlow(capacity);
    this.view = viewOf(this.chunk);
    old.copy(this.chunk, 0, from, this.at);
    this.at -= from;
    this.start = 0;
    this.frame = 0;
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
