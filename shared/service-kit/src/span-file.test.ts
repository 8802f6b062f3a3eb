import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SpanFile } from './span-file';

const TRACE = 'a'.repeat(32);
const dir = mkdtempSync(join(tmpdir(), 'forge-spans-'));
afterAll(() => rmSync(dir, { recursive: true }));

function line(traceId: string, spanId: string, startMs: number, name = 'span'): string {
  const span = {
    traceId,
    spanId,
    name,
    startTimeUnixNano: `${startMs}000000`,
    endTimeUnixNano: `${startMs + 1}000000`,
  };
  return JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] });
}

const logOf = (...lines: string[]) => ({
  take: (write: (lines: Buffer[]) => Promise<void>) => write(lines.map((one) => Buffer.from(one))),
});

describe('SpanFile', () => {
  it('gives the spans of a trace by their start, each once, and passes over what makes no sense', async () => {
    const file = new SpanFile(dir);
    expect(await file.trace(TRACE)).toEqual([]);
    await file.takeFrom(logOf(line(TRACE, '02', 2), line('b'.repeat(32), '01', 1)), 1);
    await file.takeFrom(logOf(line(TRACE, '02', 2), line(TRACE, '01', 1)), 1);
    await file.takeFrom(logOf(line(TRACE, '03', 3), `{"resourceSpans":"${TRACE}`, TRACE), 1);
    const spans = await file.trace(TRACE);
    expect(spans.map(({ spanId, startMs }) => [spanId, startMs])).toEqual([
      ['01', 1],
      ['02', 2],
      ['03', 3],
    ]);
  });

  it('keeps the newest, in two files of half the size', async () => {
    const file = new SpanFile(dir);
    const large = 'x'.repeat(300_000);
    for (let k = 10; k < 17; k++) await file.takeFrom(logOf(line(TRACE, String(k), k, large)), 1);
    const kept = (await file.trace(TRACE)).map(({ spanId }) => spanId);
    expect(kept).toEqual(['14', '15', '16']);
    const sizes = ['spans.jsonl', 'spans.1.jsonl'].map((name) =>
      existsSync(join(dir, name)) ? readFileSync(join(dir, name)).length : 0,
    );
    expect(Math.max(...sizes)).toBeLessThan(2 ** 20);
  });
});
