import { open, type FileHandle } from 'node:fs/promises';
import { absentAs } from '@forge/files';

/** Bytes read at once. */
const CHUNK_BYTES = 1 << 18;
/** Bytes of one line at most; a longer one is not ours. */
const MAX_LINE_BYTES = 64 * 2 ** 20;
const NEWLINE = 0x0a;

export interface NewLines {
  lines: unknown[];
  /** Another file than the last time, or a shorter one: these are all its lines. */
  isAnew: boolean;
}

/**
 * Follows a file that grows by lines of JSON: metrics.jsonl and the like. A line that is not whole yet is left for the
 * next time; one that is no JSON is passed over; a file that is not there yet has no lines.
 */
export class GrowingFile {
  private offset = 0;
  private identity: string | null = null;

  constructor(private readonly path: string) {}

  /** The lines that came since the last time. */
  async read(): Promise<NewLines> {
    const found = await absentAs(null, () => open(this.path, 'r'));
    const wasThere = this.identity !== null;
    if (found === null) {
      this.identity = null;
      this.offset = 0;
      return { lines: [], isAnew: wasThere };
    }
    try {
      const { ino, dev, size } = await found.stat();
      const identity = `${dev}:${ino}`;
      const isAnew = wasThere && (identity !== this.identity || size < this.offset);
      if (isAnew) this.offset = 0;
      this.identity = identity;
      return { lines: await this.readFrom(found, size), isAnew };
    } finally {
      await found.close();
    }
  }

  /** Passes over the lines that are there. */
  async skip(): Promise<void> {
    const found = await absentAs(null, () => open(this.path, 'r'));
    if (found === null) return;
    try {
      const { ino, dev, size } = await found.stat();
      this.identity = `${dev}:${ino}`;
      this.offset = await endOfLines(found, size);
    } finally {
      await found.close();
    }
  }

  private async readFrom(file: FileHandle, size: number): Promise<unknown[]> {
    const lines: unknown[] = [];
    while (this.offset < size) {
      const bytes = await readWholeLines(file, this.offset, size);
      if (bytes.length === 0) break;
      lines.push(...parsed(bytes));
      this.offset += bytes.length;
    }
    return lines;
  }
}

/** Offset at which the last whole line ends. */
async function endOfLines(file: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const at = (await readAt(file, start, end - start)).lastIndexOf(NEWLINE);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

/** The last lines of a file of JSON lines, oldest first; only the end of it is read. */
export async function newestLines(path: string, count: number): Promise<unknown[]> {
  const file = await absentAs(null, () => open(path, 'r'));
  if (file === null) return [];
  try {
    let { size: start } = await file.stat();
    let bytes = Buffer.alloc(0);
    while (start > 0 && newlinesIn(bytes) <= count && bytes.length < MAX_LINE_BYTES) {
      const length = Math.min(CHUNK_BYTES, start);
      start -= length;
      bytes = Buffer.concat([await readAt(file, start, length), bytes]);
    }
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    const begin = start === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
    const lines = parsed(bytes.subarray(begin, end));
    return lines.slice(Math.max(0, lines.length - count));
  } finally {
    await file.close();
  }
}

/** The first line of a file of JSON lines that `is` what is looked for; null when none is, or none in so many bytes. */
export async function findLine<T>(
  path: string,
  is: (line: unknown) => line is T,
  withinBytes = Infinity,
): Promise<T | null> {
  for await (const lines of linesInParts(path, withinBytes)) {
    const found = lines.find(is);
    if (found !== undefined) return found;
  }
  return null;
}

/** The lines of a file of JSON lines, in parts, so that a large file is never held whole; none when it is not there. */
export async function* linesInParts(path: string, withinBytes = Infinity): AsyncGenerator<unknown[]> {
  const file = await absentAs(null, () => open(path, 'r'));
  if (file === null) return;
  try {
    const { size } = await file.stat();
    for (let offset = 0; offset < Math.min(size, withinBytes);) {
      const bytes = await readWholeLines(file, offset, size);
      if (bytes.length === 0) return;
      yield parsed(bytes);
      offset += bytes.length;
    }
  } finally {
    await file.close();
  }
}

/** Whole lines from `offset` on, as many as a chunk has, or one that is longer; none when it is cut short. */
async function readWholeLines(file: FileHandle, offset: number, size: number): Promise<Buffer> {
  for (let length = CHUNK_BYTES; ; length *= 4) {
    const bytes = await readAt(file, offset, Math.min(length, size - offset));
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0) return bytes.subarray(0, end);
    if (offset + length >= size || length > MAX_LINE_BYTES) return bytes.subarray(0, 0);
  }
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

function newlinesIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

function parsed(bytes: Buffer): unknown[] {
  return bytes
    .toString('utf8')
    .split('\n')
    .flatMap((line) => {
      if (line === '') return [];
      try {
        return [JSON.parse(line) as unknown];
      } catch {
        return [];
      }
    });
}
