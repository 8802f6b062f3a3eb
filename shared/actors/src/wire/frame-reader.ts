import { constants } from 'node:buffer';
import { MsgpackFault, ValueReader, type Binary } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { KIND, malformed, type Frame, type Kind } from './frame';
import { WIRE, type FrameBounds } from './frame-bounds';

const HEADER_BYTES = 4;
const FIRST_PARTIAL_BYTES = 64 * 1024;
const KINDS = Object.keys(KIND).length;

/**
 * Cuts received bytes into frames, however they were split. A frame that comes in pieces is gathered in a buffer that
 * doubles as they arrive: what a peer announces costs nothing until it is there.
 */
export class FrameReader {
  private partial = Buffer.alloc(0);
  private partialBytes = 0;

  constructor(
    private readonly onFrame: (frame: Frame) => void,
    /** Largest frame that is accepted. */
    public maxFrameBytes: number,
    private readonly bounds: FrameBounds = WIRE,
    /** Values that the writer put beside the frames. */
    private readonly beside: Binary[] | null = null,
  ) {}

  /**
   * Hands on the frames that are complete with these bytes. Nothing of the frames refers to `bytes` afterwards.
   *
   * @throws {ForgeError} CONTRACT_PROTOCOL_MISMATCH for what is no frame, CAPACITY_FRAME_TOO_LARGE for one that is
   *   announced larger than `maxFrameBytes`; nothing more can be read then. And what `onFrame` throws.
   */
  push(bytes: Buffer): void {
    let rest = bytes;
    while (this.partialBytes > 0) {
      const missing = this.missing();
      if (missing === 0) {
        const whole = this.partial.subarray(0, this.partialBytes);
        this.partial = Buffer.alloc(0);
        this.partialBytes = 0;
        this.frames(whole);
        break;
      }
      if (rest.length === 0) return;
      const piece = rest.subarray(0, missing);
      this.gather(piece);
      rest = rest.subarray(piece.length);
    }
    if (rest.length === 0) return;
    const used = this.frames(rest);
    if (used < rest.length) this.gather(rest.subarray(used));
  }

  /** Reads whole frames; returns how many bytes they are. */
  private frames(bytes: Buffer): number {
    const values = new ValueReader(bytes, this.bounds, this.beside);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + this.announced(bytes, at);
      if (end > bytes.length) break;
      this.onFrame(frameOf(valueOf(values, at + HEADER_BYTES, end)));
      at = end;
    }
    return at;
  }

  private announced(bytes: Buffer, at: number): number {
    const sizeBytes = bytes.readUInt32BE(at);
    if (sizeBytes <= this.maxFrameBytes) return sizeBytes;
    throw new ForgeError(
      'CAPACITY_FRAME_TOO_LARGE',
      `the peer announced a frame of ${sizeBytes} bytes, at most ${this.maxFrameBytes} are accepted`,
      { sizeBytes, limitBytes: this.maxFrameBytes },
    );
  }

  /** How many bytes the partial frame lacks, as far as is known. */
  private missing(): number {
    if (this.partialBytes < HEADER_BYTES) return HEADER_BYTES - this.partialBytes;
    return HEADER_BYTES + this.announced(this.partial, 0) - this.partialBytes;
  }

  private gather(piece: Buffer): void {
    const needed = this.partialBytes + piece.length;
    if (needed > this.partial.length) {
      const wider = Buffer.allocUnsafeSlow(
        Math.max(FIRST_PARTIAL_BYTES, Math.min(2 * needed, constants.MAX_LENGTH)),
      );
      this.partial.copy(wider, 0, 0, this.partialBytes);
      this.partial = wider;
    }
    piece.copy(this.partial, this.partialBytes);
    this.partialBytes = needed;
  }
}

function valueOf(values: ValueReader, start: number, end: number): unknown {
  try {
    return values.read(start, end);
  } catch (error) {
    throw error instanceof MsgpackFault ? malformed(`msgpack that ${error.message}`) : error;
  }
}

function frameOf(value: unknown): Frame {
  if (!Array.isArray(value)) throw malformed('a frame that is no list');
  const [kind, id] = value as unknown[];
  if (!isCount(kind) || kind >= KINDS || !isCount(id)) throw malformed('a frame of no known kind');
  return value as unknown as [Kind, number, ...unknown[]];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
