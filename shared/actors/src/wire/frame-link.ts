import type { Binary } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { byeFrame, type Frame } from './frame';
import { FrameReader } from './frame-reader';
import { FrameWriter } from './frame-writer';
import { LOCAL, MAX_FRAME_BYTES, WIRE } from './frame-bounds';

/** Carrier of bytes to the other side, in order: a socket, a pair of mailboxes in Redis, or memory. */
export interface Carrier {
  /** Called with one piece at a time; `done` says that the bytes are out of our hands. */
  write(bytes: Buffer, done: () => void): void;
  /** Stops (`false`) and goes on with (`true`) handing received bytes to the link, where the carrier can hold them. */
  setReading(isReading: boolean): void;
  /** Ends the connection. Called once, when nothing is written any more. */
  close(): void;
  /** Where both sides share this memory: the large values that go beside the bytes, in each direction. */
  readonly beside?: { readonly out: Binary[]; readonly in: Binary[] };
}

/** User of a link, as the link calls it. */
export interface LinkUser {
  onFrame(frame: Frame): void;
  /** There is room again after `hasRoom` was false. */
  onRoom(): void;
  /** The link is over, called once: it was closed, or the peer is lost. */
  onEnd(reason: ForgeError): void;
}

/** Bytes waiting to be written from which on there is no room. */
const ROOM_BYTES = 4 * 2 ** 20;
/** Largest piece that is written at once, so that a large frame shows progress. */
const PIECE_BYTES = 2 ** 20;
/** How long what was sent before the end may take to go out, to a peer that may hang. */
const FLUSH_DEADLINE_MS = 250;

/**
 * Frames in both directions over a carrier. All frames that are sent in one turn of the event loop, and all that are
 * sent while the carrier is busy, go out together.
 */
export class FrameLink {
  private readonly writer: FrameWriter;
  private readonly reader: FrameReader;
  private isFlushing = false;
  private isFull = false;
  private ended: ForgeError | null = null;
  private isClosed = false;
  private closing: NodeJS.Timeout | undefined;
  private tellClosed!: () => void;
  /** Resolves once the link is over and what was sent before is out of our hands, or can't be sent. */
  readonly closed = new Promise<void>((resolve) => (this.tellClosed = resolve));
  /** Whether anything moved in either direction since it was last asked: the peer is alive. */
  private moved = true;

  constructor(
    private readonly carrier: Carrier,
    private user: LinkUser,
    maxFrameBytes?: number,
  ) {
    const { beside } = carrier;
    const bounds = beside === undefined ? WIRE : LOCAL;
    const onFrame = (frame: Frame): void => {
      if (this.ended === null) this.user.onFrame(frame);
    };
    this.writer = new FrameWriter(bounds, beside?.out);
    this.reader = new FrameReader(onFrame, maxFrameBytes ?? bounds.maxFrameBytes, bounds, beside?.in);
  }

  /** From now on, frames are another one's: the peers know each other. */
  handOver(user: LinkUser): void {
    this.user = user;
    this.reader.maxFrameBytes = MAX_FRAME_BYTES;
  }

  /** Why the link is over, or null. */
  get endReason(): ForgeError | null {
    return this.ended;
  }

  get hasRoom(): boolean {
    return !this.isFull;
  }

  /** Does nothing once the link is over. @throws {ForgeError} see `FrameWriter.write`. */
  send(frame: Frame): void {
    if (this.ended !== null) return;
    this.writer.write(frame);
    if (this.writer.pendingBytes > ROOM_BYTES) this.isFull = true;
    if (this.isFlushing) return;
    this.isFlushing = true;
    process.nextTick(this.flush);
  }

  /** Bytes from the peer. What is no frame ends the link, and the peer is told why. */
  receive(bytes: Buffer): void {
    if (this.ended !== null) return;
    this.moved = true;
    try {
      this.reader.push(bytes);
    } catch (error) {
      this.end(ForgeError.from(error), true);
    }
  }

  /** Whether bytes came in or went out since the last call. */
  takeMoved(): boolean {
    const { moved } = this;
    this.moved = false;
    return moved;
  }

  /** Ends the link, telling the peer why if `tell`. What was sent before still goes out. */
  end(reason: ForgeError, tell: boolean): void {
    if (this.ended !== null) return;
    if (tell) this.send(byeFrame(reason));
    this.ended = reason;
    if (this.isFlushing) this.closing = setTimeout(this.close, FLUSH_DEADLINE_MS);
    else this.close();
    this.user.onEnd(reason);
  }

  private readonly close = (): void => {
    clearTimeout(this.closing);
    if (this.isClosed) return;
    this.isClosed = true;
    this.carrier.close();
    this.tellClosed();
  };

  private readonly flush = (): void => {
    const bytes = this.writer.take(PIECE_BYTES);
    if (bytes.length > 0 && !this.isClosed) {
      this.carrier.write(bytes, this.onWritten);
      return;
    }
    this.isFlushing = false;
    if (this.ended !== null) this.close();
  };

  private readonly onWritten = (): void => {
    // The bytes written last may have gone no further than a buffer of the system.
    if (this.writer.pendingBytes > 0) this.moved = true;
    else this.writer.rewind();
    this.flush();
    if (!this.isFull || this.writer.pendingBytes > ROOM_BYTES / 2) return;
    this.isFull = false;
    if (this.ended === null) this.user.onRoom();
  };

  setReading(isReading: boolean): void {
    this.carrier.setReading(isReading);
  }
}
