import { types } from 'node:util';
import { ValueWriter, type Binary } from '@forge/contracts';
import type { Frame } from './frame';
import { frameTooLarge, WIRE, type FrameBounds } from './frame-bounds';
import { refusalIn } from './refusal';

const HEADER_BYTES = 4;
/** More may be reserved than is then written. */
const SLACK_BYTES = 256 * 1024;
/** Bytes from which on a binary value goes beside the frame, where it can. */
const BESIDE_BYTES = 64 * 1024;

/**
 * Writes frames one behind the other, each a u32 length and msgpack, until they are taken. A frame that can't be
 * written leaves no trace. The bytes that were taken are left alone until `rewind`, so they need not be copied.
 */
export class FrameWriter extends ValueWriter {
  /** Full chunks that are not taken yet. */
  private readonly full: Buffer[] = [];
  private fullBytes = 0;
  /** Place in the chunk where the bytes that are not taken start. */
  private start = 0;

  constructor(
    protected override readonly bounds: FrameBounds = WIRE,
    /** Takes large binary values, for a reader in the same memory: a copy, or itself what lies in shared memory. */
    private readonly beside: Binary[] | null = null,
  ) {
    super(bounds);
  }

  get pendingBytes(): number {
    return this.fullBytes + this.at - this.start;
  }

  /**
   * @throws {ForgeError} CONTRACT_UNSERIALIZABLE naming the path of the value that can't travel;
   *   CAPACITY_FRAME_TOO_LARGE.
   */
  write(frame: Frame): void {
    this.base = this.at;
    const besideBefore = this.beside?.length ?? 0;
    try {
      this.reserve(HEADER_BYTES);
      this.at += HEADER_BYTES;
      this.begin(frame);
      const sizeBytes = this.at - this.base - HEADER_BYTES;
      const { maxFrameBytes } = this.bounds;
      if (sizeBytes > maxFrameBytes) throw frameTooLarge(sizeBytes, maxFrameBytes);
      this.view.setUint32(this.base, sizeBytes);
    } catch (error) {
      this.at = this.base;
      this.beside?.splice(besideBefore);
      // Also of a frame that is too large: a cycle may be what made it so.
      throw refusalIn(frame) ?? error;
    } finally {
      if (this.isWide) this.renew(this.at);
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

  protected override putBeside(value: Binary): boolean {
    if (this.beside === null) return false;
    const isShared = types.isTypedArray(value) && types.isSharedArrayBuffer(value.buffer);
    if (!isShared && value.byteLength < BESIDE_BYTES) return false;
    this.beside.push(isShared ? value : copyOf(value));
    return true;
  }

  protected override reserve(sizeBytes: number): void {
    const needed = this.at - this.base + sizeBytes;
    const { maxFrameBytes } = this.bounds;
    if (needed > maxFrameBytes + SLACK_BYTES) throw frameTooLarge(needed, maxFrameBytes);
    super.reserve(sizeBytes);
  }

  protected override renew(from: number, sizeBytes = 0): void {
    if (from > this.start) {
      this.full.push(this.chunk.subarray(this.start, from));
      this.fullBytes += from - this.start;
    }
    super.renew(from, sizeBytes);
    this.start = 0;
  }
}

function copyOf(value: Binary): Binary {
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  return value.slice();
}
