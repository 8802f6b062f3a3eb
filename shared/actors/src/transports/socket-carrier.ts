import type { Socket } from 'node:net';
import type { Carrier, FrameLink } from '../wire/frame-link';

/** Longest time for a closed connection to send its last bytes to a peer that may hang. */
const CLOSE_DEADLINE_MS = 250;

/** Frames on a stream socket, plain or TLS. */
export class SocketCarrier implements Carrier {
  constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
  }

  /** Hands what comes to the link; `onLost` says why nothing comes any more. */
  attach(link: FrameLink, onLost: (why: string) => void): void {
    let why = 'its process ended or closed the connection';
    this.socket.on('data', (bytes: Buffer) => {
      link.receive(bytes);
    });
    this.socket.on('error', (error) => (why = error.message));
    this.socket.on('close', () => {
      onLost(why);
    });
  }

  write(bytes: Buffer, done: () => void): void {
    this.socket.write(bytes, done);
  }

  setReading(isReading: boolean): void {
    if (isReading) this.socket.resume();
    else this.socket.pause();
  }

  close(): void {
    // Unread bytes would hold the end of the stream up.
    this.socket.resume();
    this.socket.end();
    const deadline = setTimeout(() => this.socket.destroy(), CLOSE_DEADLINE_MS);
    this.socket.once('close', () => {
      clearTimeout(deadline);
    });
  }
}
