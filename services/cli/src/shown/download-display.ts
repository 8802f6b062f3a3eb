import { bytesInWords, type DownloadProgress, type DownloadWatch } from '@forge/downloads';
import { duration } from '@forge/runs';

/** A stream of people, or a file that is read later. */
export interface Output {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

const BAR = 24;
const REDRAW_MS = 200;
const LINE_MS = 10_000;

/** Shows downloads: on a terminal by a bar that moves, elsewhere by a line now and then. */
export class DownloadDisplay implements Pick<DownloadWatch, 'say' | 'onProgress'> {
  #start: { doneBytes: number; atMs: number } | null = null;
  #shownAtMs = -Infinity;
  #hasBar = false;

  constructor(
    private readonly output: Output,
    private readonly nowMs: () => number,
  ) {}

  readonly say = (message: string): void => {
    this.end();
    this.output.write(`forge: ${message}\n`);
  };

  readonly onProgress = (progress: DownloadProgress): void => {
    const now = this.nowMs();
    const isWhole = progress.doneBytes >= progress.totalBytes;
    if (this.#start === null) {
      // It was there before.
      if (isWhole) return;
      this.#start = { doneBytes: progress.doneBytes, atMs: now };
      // A download that takes a moment needs no line.
      if (!this.output.isTTY) this.#shownAtMs = now;
    }
    if (isWhole) {
      this.finish(now, progress);
    } else if (this.output.isTTY && now - this.#shownAtMs >= REDRAW_MS) {
      const line = `${bar(progress)} ${this.inWords(progress, now)}`;
      this.output.write(`\r\x1b[2K${line.slice(0, (this.output.columns || 80) - 1)}`);
      this.#hasBar = true;
      this.#shownAtMs = now;
    } else if (!this.output.isTTY && now - this.#shownAtMs >= LINE_MS) {
      this.output.write(`forge: ${this.inWords(progress, now)}\n`);
      this.#shownAtMs = now;
    }
  };

  /** Leaves the line of the bar. */
  end(): void {
    if (this.#hasBar) this.output.write('\n');
    this.#hasBar = false;
  }

  private inWords({ doneBytes, totalBytes }: DownloadProgress, now: number): string {
    const { doneBytes: first, atMs } = this.#start!;
    const perMs = (doneBytes - first) / Math.max(1, now - atMs);
    const left = perMs > 0 ? `, ${duration((totalBytes - doneBytes) / perMs)} left` : '';
    const share = Math.floor((100 * doneBytes) / totalBytes);
    return `${share} % of ${bytesInWords(totalBytes)}, ${bytesInWords(perMs * 1000)}/s${left}`;
  }

  private finish(now: number, { totalBytes }: DownloadProgress): void {
    const { atMs } = this.#start!;
    this.#start = null;
    this.#shownAtMs = -Infinity;
    if (this.#hasBar) this.output.write('\r\x1b[2K');
    this.#hasBar = false;
    this.say(`downloaded ${bytesInWords(totalBytes)} in ${duration(now - atMs)}`);
  }
}

function bar({ doneBytes, totalBytes }: DownloadProgress): string {
  const full = Math.floor((BAR * doneBytes) / totalBytes);
  return `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}]`;
}
