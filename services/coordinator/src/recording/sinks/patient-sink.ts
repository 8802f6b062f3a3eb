import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import type { EndState, MetricSink, SinkRow } from './metric-sink';

/** Rows that wait for a sink that is slow or down; the oldest make room. */
const MAX_WAITING = 10_000;
const RETRY_MS = 5_000;
/** The end of a run waits for a sink no longer. */
const CLOSE_MS = 5_000;

/**
 * Hands rows to a sink without ever holding up the run: they wait while it is slow or down, and of what goes wrong there
 * is one warning.
 */
export class PatientSink {
  private waiting: SinkRow[] = [];
  private writing: Promise<void> = Promise.resolve();
  private isWriting = false;
  private isClosing = false;
  private hasWarned = false;
  private dropped = 0;
  private underWay = 0;

  constructor(
    private readonly sink: MetricSink,
    private readonly logger: Pick<Logger, 'warn'>,
    private readonly retryMs = RETRY_MS,
    private readonly closeMs = CLOSE_MS,
  ) {}

  add(rows: readonly SinkRow[]): void {
    this.waiting.push(...rows);
    const tooMany = this.waiting.length - MAX_WAITING;
    if (tooMany > 0) {
      this.waiting.splice(0, tooMany);
      this.dropped += tooMany;
    }
    if (this.waiting.length > 0 && !this.isWriting) this.writing = this.write();
  }

  /** Writes what waits, as far as the sink takes it within a few seconds. */
  async close(state: EndState): Promise<void> {
    this.isClosing = true;
    const closed = async (): Promise<void> => {
      await this.writing;
      await this.sink.close(state).catch(this.warn);
    };
    await within(this.closeMs, closed(), () => undefined);
    const lost = this.dropped + this.underWay + this.waiting.length;
    if (lost > 0) this.logger.warn({ sink: this.sink.name, rows: lost }, 'a metric sink missed rows');
  }

  private async write(): Promise<void> {
    this.isWriting = true;
    while (this.waiting.length > 0) {
      const rows = this.waiting;
      this.waiting = [];
      this.underWay = rows.length;
      const isLastTry = this.isClosing;
      try {
        await this.sink.write(rows);
        this.underWay = 0;
      } catch (error) {
        this.warn(error);
        this.waiting = [...rows, ...this.waiting];
        this.underWay = 0;
        if (isLastTry) break;
        await this.pause();
      }
    }
    this.isWriting = false;
  }

  /** Waits until it is time to try again, or the last time to. */
  private async pause(): Promise<void> {
    const untilMs = performance.now() + this.retryMs;
    while (!this.isClosing && performance.now() < untilMs) await sleep(50, undefined, { ref: false });
  }

  private readonly warn = (err: unknown): void => {
    if (this.hasWarned) return;
    this.hasWarned = true;
    this.logger.warn({ err, sink: this.sink.name }, 'a metric sink does not work; the run goes on');
  };
}
