import { appendFile, open, rename, stat } from 'node:fs/promises';
import type { SpanLog } from '@forge/broker';
import { runPaths } from '@forge/contracts';
import { absentAs } from '@forge/files';
import { spansOfTrace, type RecordedSpan } from '@forge/telemetry';

const NEW_LINE = Buffer.from('\n');

/** Finished spans of a run in its directory: `spans.jsonl`, and in `spans.1.jsonl` its content before it was full. */
export class SpanFile {
  private readonly path: string;
  private readonly earlier: string;

  constructor(directory: string) {
    const { spans, earlierSpans } = runPaths(directory);
    this.path = spans;
    this.earlier = earlierSpans;
  }

  /** Writes down what the processes of the run have finished; both files together stay within the limit. */
  async takeFrom(spans: Pick<SpanLog, 'take'>, limitMiB: number): Promise<void> {
    await spans.take((lines) =>
      appendFile(this.path, Buffer.concat(lines.flatMap((line) => [line, NEW_LINE]))),
    );
    const size = await absentAs(0, async () => (await stat(this.path)).size);
    if (size > (limitMiB / 2) * 2 ** 20) await rename(this.path, this.earlier);
  }

  /** The spans of a trace by their start, each once. */
  async trace(traceId: string): Promise<RecordedSpan[]> {
    const lines: string[] = [];
    for (const path of [this.earlier, this.path])
      for await (const line of linesOf(path)) if (line.includes(traceId)) lines.push(line);
    return spansOfTrace(lines, traceId);
  }
}

/** Lines of a file, none when there is no file. */
async function* linesOf(path: string): AsyncGenerator<string> {
  const file = await absentAs(null, () => open(path));
  if (file !== null) yield* file.readLines();
}
