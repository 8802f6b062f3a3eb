import { checkSpanLine } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import type { Rejections } from '../refused/rejections';

/** Spans a line has at most; the stream is bounded by lines. */
const SPANS_PER_LINE = 64;
const TAKEN_AT_ONCE = 64;

/**
 * Finished spans on their way from the processes of a run to its directory, as lines of the OTLP file format. For
 * people: the oldest make room when they are not taken.
 */
export class SpanLog {
  /** `limit`: spans kept at most. */
  constructor(
    private readonly redis: Redis,
    private readonly run: { keys: Pick<RunKeys, 'spans'>; rejections: Pick<Rejections, 'drop'> },
    private readonly limit = 20_000,
  ) {}

  async add(line: string): Promise<void> {
    const lines = Math.ceil(this.limit / SPANS_PER_LINE);
    await this.redis.xadd(this.run.keys.spans, 'MAXLEN', '~', lines, '*', 'line', line);
  }

  /**
   * Hands over everything there is and forgets it then: a process that dies in between leaves lines that are handed
   * over again. An invalid line is dropped.
   */
  async take(write: (lines: Buffer[]) => Promise<void>): Promise<void> {
    const { keys, rejections } = this.run;
    for (;;) {
      const entries = await this.redis.xrangeBuffer(keys.spans, '-', '+', 'COUNT', TAKEN_AT_ONCE);
      if (entries.length === 0) return;
      const taken: { id: string; line: Buffer }[] = [];
      const refused: { id: string; why: ForgeError }[] = [];
      for (const [bytes, fields] of entries) {
        const id = bytes.toString();
        try {
          taken.push({ id, line: lineOf(fields) });
        } catch (error) {
          refused.push({ id, why: ForgeError.from(error) });
        }
      }
      await rejections.drop('spans', refused);
      if (taken.length === 0) continue;
      await write(taken.map(({ line }) => line));
      await this.redis.xdel(keys.spans, ...taken.map(({ id }) => id));
    }
  }
}

/** @throws {ForgeError} CONTRACT_INVALID_MESSAGE when there is none. */
function lineOf(fields: readonly Buffer[]): Buffer {
  const at = fields.findIndex((name, i) => i % 2 === 0 && name.toString() === 'line');
  return checkSpanLine(at < 0 ? undefined : fields[at + 1]);
}
