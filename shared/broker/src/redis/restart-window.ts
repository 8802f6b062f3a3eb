const WINDOW_MS = 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/**
 * When something that died may be started again: at once after its first death within a minute, then after pauses that
 * double, and no more once it died too often within a minute. What happened longer ago is forgotten: a run of weeks may
 * lose a process every hour.
 */
export class RestartWindow {
  private diedAtMs: number[] = [];

  constructor(private readonly restartsPerMinute: number) {}

  /** Counts a death; milliseconds until the next start, or null to give it up. */
  next(nowMs: number): number | null {
    this.diedAtMs = this.diedAtMs.filter((atMs) => nowMs - atMs < WINDOW_MS);
    const earlier = this.diedAtMs.length;
    if (earlier >= this.restartsPerMinute) return null;
    this.diedAtMs.push(nowMs);
    return earlier === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (earlier - 1), LONGEST_PAUSE_MS);
  }
}
