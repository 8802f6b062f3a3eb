import type { Redis } from 'ioredis';
import type { RunKeys } from './keys';

/** Spans a line has at most; the stream is bounded by lines. */
const SPANS_PER_LINE = 64;
const TAKEN_AT_ONCE = 64;

/**
 * Finished spans on their way from the processes of a run to its directory, as lines of the OTLP file format. For
 * people: the oldest make room when nobody takes them.
 */
export class SpanLog {
  /** `limit`: spans kept at most. */
  constructor(
    private readonly redis: Redis,
    private readonly keys: Pick<RunKeys, 'spans'>,
    private readonly limit = 20_000,
  ) {}

  async add(line: string): Promise<void> {
    const lines = Math.ceil(this.limit / SPANS_PER_LINE);
    await this.redis.xadd(this.keys.spans, 'MAXLEN', '~', lines, '*', 'line', line);
  }

  /**
   * Hands over everything there is and forgets it then: who dies in between leaves lines that are handed over again. How
   * many there were.
   */
  async take(write: (lines: Buffer[]) => Promise<void>): Promise<number> {
    let taken = 0;
    for (;;) {
      const entries = await this.redis.xrangeBuffer(this.keys.spans, '-', '+', 'COUNT', TAKEN_AT_ONCE);
      if (entries.length === 0) return taken;
      await write(entries.map(([, fields]) => fields[1]!));
      await this.redis.xdel(this.keys.spans, ...entries.map(([id]) => id.toString()));
      taken += entries.length;
    }
  }

  /** What nobody has taken yet. */
  async lines(): Promise<Buffer[]> {
    const entries = await this.redis.xrangeBuffer(this.keys.spans, '-', '+');
    return entries.map(([, fields]) => fields[1]!);
  }
}
