import { KIND } from '../wire/frame';
import type { FrameLink } from '../wire/frame-link';

export interface HeartbeatTiming {
  /** Time between two questions to a silent peer. */
  intervalMs: number;
  /** After so many intervals in which nothing came it is lost. */
  misses: number;
}

/**
 * Notices a peer that is there but hangs. An interval counts as missed only when our own event loop has run through
 * it: the look at what came is taken after the loop has read what there is to read, so a loop of ours that was blocked
 * finds the answers that arrived meanwhile.
 */
export function watchHeartbeat(
  link: FrameLink,
  { intervalMs, misses }: HeartbeatTiming,
  onLost: (why: string) => void,
): () => void {
  let missed = 0;
  const look = (): void => {
    if (link.endReason !== null) return;
    missed = link.takeMoved() ? 0 : missed + 1;
    if (missed >= misses) onLost(`it did not answer for ${missed * intervalMs} ms`);
    else link.send([KIND.ping, 0]);
  };
  // Timers come before reading in a turn of the loop, immediates behind it.
  const timer = setInterval(() => setImmediate(look), intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}
