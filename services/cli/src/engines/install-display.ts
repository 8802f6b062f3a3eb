import { duration } from '@forge/runs';
import type { PinnedFile } from './tensorflow-release';

/** A stream of people, or a file that is read later. */
export interface Output {
  isTTY?: boolean;
  write(text: string): unknown;
}

const REDRAW_MS = 200;
const LINE_MS = 10_000;

/** Shows an installation: a line that is redrawn on a terminal, elsewhere a new one now and then. */
export class InstallDisplay {
  private file: PinnedFile | null = null;
  private start = { bytes: 0, atMs: 0 };
  private shownAtMs = 0;

  constructor(
    private readonly output: Output,
    private readonly nowMs: () => number,
  ) {}

  /** The part of it that an installation is given. */
  get watch(): Pick<InstallDisplay, 'say' | 'onBytes'> {
    const { say, onBytes } = this;
    return { say, onBytes };
  }

  readonly say = (message: string): void => {
    this.end();
    this.output.write(`forge: ${message}\n`);
  };

  readonly onBytes = (file: PinnedFile, bytes: number): void => {
    const now = this.nowMs();
    if (this.file !== file) {
      this.end();
      this.file = file;
      this.start = { bytes, atMs: now };
      this.shownAtMs = this.output.isTTY ? -Infinity : now;
    }
    const isWhole = bytes === file.sizeBytes;
    if (!isWhole && now - this.shownAtMs < (this.output.isTTY ? REDRAW_MS : LINE_MS)) return;
    this.shownAtMs = now;
    const line = `forge: ${file.filename.split('-', 2).join(' ')}  ${this.inWords(file, bytes, now)}`;
    this.output.write(this.output.isTTY ? `\r\x1b[2K${line}` : `${line}\n`);
    if (isWhole) this.end();
  };

  private inWords({ sizeBytes }: PinnedFile, bytes: number, now: number): string {
    const perMs = (bytes - this.start.bytes) / Math.max(1, now - this.start.atMs);
    const left = perMs > 0 && bytes < sizeBytes ? `, ${duration((sizeBytes - bytes) / perMs)} left` : '';
    const megabytes = (count: number): string => (count / 1e6).toFixed(count < 1e7 ? 1 : 0);
    return `${megabytes(bytes)} of ${megabytes(sizeBytes)} MB, ${Math.floor((100 * bytes) / sizeBytes)} %, ${megabytes(perMs * 1000)} MB/s${left}`;
  }

  /** Leaves the line that is redrawn. */
  private end(): void {
    if (this.file !== null && this.output.isTTY) this.output.write('\n');
    this.file = null;
  }
}
