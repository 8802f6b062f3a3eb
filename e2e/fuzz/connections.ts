import { connect, type Socket } from 'node:net';

/** Runs `count` of something, so many at a time. */
export async function inParallel(
  count: number,
  atATime: number,
  run: (i: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atATime, count) }, work));
}

export type Place = { path: string } | { host: string; port: number };

export interface TalkOptions {
  /** Whether enough has come back. */
  isDone: (received: Buffer) => boolean;
  /** Receives all bytes that came back so far; may write more. */
  onData?: (received: Buffer, write: (bytes: Buffer) => void) => void;
  patienceMs: number;
}

/**
 * Sends pieces to a server, one after the other, and says what came back until the connection ended.
 */
export function talk(
  to: Place,
  pieces: readonly Buffer[],
  { isDone, patienceMs, onData }: TalkOptions,
): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket: Socket = connect(to);
    const received: Buffer[] = [];
    const timer = setTimeout(() => socket.destroy(), patienceMs);
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      received.push(bytes);
      const all = received.length === 1 ? bytes : Buffer.concat(received);
      onData?.(all, (more) => socket.write(more));
      if (isDone(all)) socket.end();
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(received));
    });
    socket.once('connect', () => {
      for (const piece of pieces) socket.write(piece);
    });
  });
}
