import { ELEMENT_TYPES, EXTENSION, MsgpackFault, type Binary, type ValueBounds } from './value-format';

/** Short strings that recur (names of actors, endpoints and fields) are made once. */
const KNOWN_STRINGS = 1024;
const knownStrings = new Array<string>(KNOWN_STRINGS).fill('');

/**
 * Reads msgpack as `ValueWriter` writes it, and nothing else: no extension makes an object of a class or runs code.
 * The values share no memory with the bytes.
 */
export class ValueReader {
  private readonly view: DataView;
  private at = 0;
  private end = 0;
  private elementsLeft = 0;

  constructor(
    private readonly bytes: Buffer,
    private readonly bounds: ValueBounds,
    /** Values that the writer put beside the bytes, oldest first. */
    private readonly beside: Binary[] | null = null,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** @throws {MsgpackFault} unless the bytes from `start` to `end` are exactly one value. */
  read(start: number, end: number): unknown {
    this.at = start;
    this.end = end;
    this.elementsLeft = this.bounds.maxElements;
    let value: unknown;
    try {
      value = this.value(0);
    } catch (error) {
      // A number that is cut off (RangeError of the view), or a bigint or array beyond what there can be.
      throw error instanceof MsgpackFault ? error : new MsgpackFault(`can't be read: ${String(error)}`);
    }
    if (this.at !== end) throw new MsgpackFault(`goes on for ${end - this.at} bytes behind its end`);
    return value;
  }

  private value(depth: number): unknown {
    const tag = this.bytes[this.skip(1)]!;
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag >= 0xa0 && tag < 0xc0) return this.shortString(tag & 0x1f);
    if (tag < 0x90) return this.object(tag & 0x0f, depth + 1);
    if (tag < 0xa0) return this.array(tag & 0x0f, depth + 1);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return Buffer.from(this.content(this.length(tag - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.extension(this.length(tag - 0xc7), depth);
      case 0xca:
        return this.view.getFloat32(this.skip(4));
      case 0xcb:
        return this.view.getFloat64(this.skip(8));
      case 0xcc:
        return this.view.getUint8(this.skip(1));
      case 0xcd:
        return this.view.getUint16(this.skip(2));
      case 0xce:
        return this.view.getUint32(this.skip(4));
      case 0xcf:
        return this.view.getBigUint64(this.skip(8));
      case 0xd0:
        return this.view.getInt8(this.skip(1));
      case 0xd1:
        return this.view.getInt16(this.skip(2));
      case 0xd2:
        return this.view.getInt32(this.skip(4));
      case 0xd3:
        return this.view.getBigInt64(this.skip(8));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.extension(2 ** (tag - 0xd4), depth);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.string(this.length(tag - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.array(this.length(tag - 0xdb), depth + 1);
      case 0xde:
      case 0xdf:
        return this.object(this.length(tag - 0xdd), depth + 1);
      default:
        throw new MsgpackFault(`has a value of type 0x${tag.toString(16)}`);
    }
  }

  /** A length of 1, 2 or 4 bytes, by its place in msgpack's order of tags. */
  private length(size: number): number {
    if (size === 0) return this.view.getUint8(this.skip(1));
    return size === 1 ? this.view.getUint16(this.skip(2)) : this.view.getUint32(this.skip(4));
  }

  /** The place of as many bytes, which are behind it then. */
  private skip(sizeBytes: number): number {
    const at = this.at;
    if (sizeBytes > this.end - at) throw new MsgpackFault('ends too early');
    this.at = at + sizeBytes;
    return at;
  }

  private content(sizeBytes: number): Buffer {
    const at = this.skip(sizeBytes);
    return this.bytes.subarray(at, at + sizeBytes);
  }

  private string(sizeBytes: number): string {
    const at = this.skip(sizeBytes);
    return this.bytes.toString('utf8', at, at + sizeBytes);
  }

  private shortString(sizeBytes: number): string {
    const at = this.skip(sizeBytes);
    const { bytes } = this;
    let hash = sizeBytes;
    let seen = 0;
    for (let i = at; i < at + sizeBytes; i++) {
      hash = (hash * 31 + bytes[i]!) | 0;
      seen |= bytes[i]!;
    }
    if (seen >= 0x80) return bytes.toString('utf8', at, at + sizeBytes);
    const slot = (hash ^ (hash >>> 16)) & (KNOWN_STRINGS - 1);
    const known = knownStrings[slot]!;
    if (known.length === sizeBytes) {
      let i = 0;
      while (i < sizeBytes && known.charCodeAt(i) === bytes[at + i]) i++;
      if (i === sizeBytes) return known;
    }
    return (knownStrings[slot] = bytes.toString('latin1', at, at + sizeBytes));
  }

  /** Every element takes a byte at least, so that no length can ask for more than was sent. */
  private enter(elements: number, depth: number): void {
    const { maxDepth, maxElements } = this.bounds;
    this.elementsLeft -= elements;
    if (elements > this.end - this.at) throw new MsgpackFault('ends too early');
    if (this.elementsLeft < 0) throw new MsgpackFault(`has more than ${maxElements} elements`);
    if (depth > maxDepth) throw new MsgpackFault(`is nested deeper than ${maxDepth}`);
  }

  private array(length: number, depth: number): unknown[] {
    this.enter(length, depth);
    const array = new Array<unknown>(length);
    for (let i = 0; i < length; i++) array[i] = this.value(depth);
    return array;
  }

  private object(size: number, depth: number): Record<string, unknown> {
    this.enter(size, depth);
    const object: Record<string, unknown> = {};
    for (let i = 0; i < size; i++) {
      const key = this.value(this.bounds.maxDepth);
      if (typeof key !== 'string') throw new MsgpackFault('has an object with a key that is no string');
      const value = this.value(depth);
      if (key !== '__proto__') object[key] = value;
      // Assigned, it would be the prototype.
      else
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
    }
    return object;
  }

  private extension(sizeBytes: number, depth: number): unknown {
    const type = this.view.getUint8(this.skip(1));
    const end = this.at + sizeBytes;
    const value = this.extensionOf(type, sizeBytes, depth);
    if (this.at !== end) throw new MsgpackFault(`has an extension ${type} of the wrong length`);
    return value;
  }

  private extensionOf(type: number, sizeBytes: number, depth: number): unknown {
    if (!this.bounds.extensions.includes(type)) throw new MsgpackFault(`has an extension of type ${type}`);
    switch (type) {
      case EXTENSION.undefined:
        this.skip(sizeBytes);
        return undefined;
      case EXTENSION.bigint: {
        const [sign] = this.content(1);
        const magnitude = BigInt(`0x0${this.content(sizeBytes - 1).toString('hex')}`);
        return sign === 0 ? magnitude : -magnitude;
      }
      case EXTENSION.date:
        return new Date(this.view.getFloat64(this.skip(8)));
      case EXTENSION.map: {
        const pairs = this.list(depth + 1);
        const map = new Map<unknown, unknown>();
        for (let i = 0; i + 1 < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1]);
        return map;
      }
      case EXTENSION.set:
        return new Set(this.list(depth + 1));
      case EXTENSION.typedArray: {
        const ElementType = ELEMENT_TYPES[this.content(1)[0]!];
        if (ElementType === undefined) throw new MsgpackFault('has a typed array of no known type');
        // A copy, which is aligned as the type needs it.
        const { buffer } = Uint8Array.prototype.slice.call(this.content(sizeBytes - 1));
        return ElementType === ArrayBuffer ? buffer : new ElementType(buffer);
      }
      case EXTENSION.beside: {
        this.skip(sizeBytes);
        const value = this.beside?.shift();
        if (value === undefined) throw new MsgpackFault('refers to a value that is not beside it');
        return value;
      }
      default:
        throw new MsgpackFault(`has an extension of type ${type}`);
    }
  }

  private list(depth: number): unknown[] {
    const tag = this.view.getUint8(this.skip(1));
    if (tag >= 0x90 && tag < 0xa0) return this.array(tag & 0x0f, depth);
    if (tag === 0xdc || tag === 0xdd) return this.array(this.length(tag - 0xdb), depth);
    throw new MsgpackFault('has a map or set that is no list');
  }
}
