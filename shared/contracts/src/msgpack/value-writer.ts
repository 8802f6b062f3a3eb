import { constants } from 'node:buffer';
import { types } from 'node:util';
import { ForgeError } from '@forge/errors';
import { isPlain } from './unwritable';
import { ELEMENT_TYPES, EXTENSION, type Binary, type ValueBounds } from './value-format';

const CHUNK_BYTES = 64 * 1024;
/** Characters up to which a string that is ASCII is written in place; longer ones are left to the runtime. */
const SHORT_STRING = 31;
/** Characters up to which three bytes each are reserved without a look at them. */
const LONG_STRING = 64 * 1024;
const TYPE_NAMES = ELEMENT_TYPES.map(({ name }) => name);

/** Thrown for a value that can't be written; `unwritableIn` finds which one, so that writing keeps no path. */
const REFUSED = new Error('refused');

/** Writes values as msgpack into a chunk of memory that grows with them; subclasses say what becomes of the bytes. */
export abstract class ValueWriter {
  protected chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  protected view = viewOf(this.chunk);
  /** Places in the chunk: where the value under way begins, and the next byte. */
  protected base = 0;
  protected at = 0;
  private elementsLeft = 0;

  constructor(protected readonly bounds: ValueBounds) {}

  /**
   * Writes the outermost value at the next byte.
   *
   * @throws {Error} when it can't be written; `unwritableIn` says why.
   * @throws {ForgeError} CAPACITY_FRAME_TOO_LARGE for more elements than the bounds allow.
   */
  protected begin(value: unknown): void {
    this.elementsLeft = this.bounds.maxElements;
    this.value(value, 0);
  }

  /** Whether a large value has taken a chunk that is not worth keeping. */
  protected get isWide(): boolean {
    return this.chunk.length > CHUNK_BYTES;
  }

  /** Whether a binary value goes beside the bytes instead of into them. */
  protected putBeside(_value: Binary): boolean {
    return false;
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
        return this.emptyExtension(EXTENSION.undefined);
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
    if (depth > this.bounds.maxDepth) throw REFUSED;
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
    } else if (isBinary(value)) {
      if (this.putBeside(value)) this.emptyExtension(EXTENSION.beside);
      else this.binary(value);
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

  private binary(value: Binary): void {
    if (Buffer.isBuffer(value)) {
      this.reserve(5 + value.length);
      this.chunk[this.at] = 0xc6;
      this.view.setUint32(this.at + 1, value.length);
      this.chunk.set(value, this.at + 5);
      this.at += 5 + value.length;
    } else if (types.isTypedArray(value)) {
      const { buffer, byteOffset, byteLength } = value;
      const type = TYPE_NAMES.indexOf(value[Symbol.toStringTag]);
      if (type < 0) throw REFUSED;
      this.extension(EXTENSION.typedArray, type, new Uint8Array(buffer, byteOffset, byteLength));
    } else {
      this.extension(EXTENSION.typedArray, 0, new Uint8Array(value));
    }
  }

  private elements(count: number): void {
    this.spend(count);
    this.header(0x90, 0xdc, count);
  }

  private spend(elements: number): void {
    this.elementsLeft -= elements;
    if (this.elementsLeft >= 0) return;
    const { maxElements } = this.bounds;
    throw new ForgeError(
      'CAPACITY_FRAME_TOO_LARGE',
      `more than ${maxElements} elements in arrays and objects; send numbers as typed arrays, or less at once`,
      { limitElements: maxElements },
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

  /** An extension of one byte without a meaning. */
  private emptyExtension(type: number): void {
    this.reserve(3);
    this.chunk[this.at++] = 0xd4;
    this.chunk[this.at++] = type;
    this.chunk[this.at++] = 0;
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
    // From the start of the value, which moves when it outgrows its chunk.
    const begin = this.at - this.base;
    content();
    const start = this.base + begin;
    this.view.setUint32(start - 5, this.at - start);
  }

  /** Makes room for as many bytes. */
  protected reserve(sizeBytes: number): void {
    if (this.at + sizeBytes <= this.chunk.length) return;
    this.renew(this.base, sizeBytes);
  }

  /** Goes on in a new chunk with the bytes from `from` on, and room for `sizeBytes` more. */
  protected renew(from: number, sizeBytes = 0): void {
    const old = this.chunk;
    const needed = this.at - from + sizeBytes;
    const capacity = Math.min(Math.max(CHUNK_BYTES, 2 * needed), Math.max(needed, constants.MAX_LENGTH));
    this.chunk = Buffer.allocUnsafeSlow(capacity);
    this.view = viewOf(this.chunk);
    old.copy(this.chunk, 0, from, this.at);
    this.at -= from;
    this.base = 0;
  }
}

function isBinary(value: object): value is Binary {
  return types.isTypedArray(value) || types.isArrayBuffer(value);
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
