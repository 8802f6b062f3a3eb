import type { Readable } from 'node:stream';

const TOLD_LINES = 24;
const TOLD_CHARACTERS = 1_500;

/** The last bytes of what a program writes, however much that is. */
export class OutputTail {
  private chunks: Buffer[] = [];
  private length = 0;

  constructor(
    stream: Readable,
    private readonly maxBytes: number,
  ) {
    stream.on('data', (chunk: Buffer) => this.take(chunk));
    stream.on('error', () => undefined);
  }

  get text(): string {
    return this.bytes().toString();
  }

  /** The last lines, as the end of a message. */
  get told(): string {
    const lines = this.text.trim().split('\n').slice(-TOLD_LINES).join('\n').slice(-TOLD_CHARACTERS);
    return lines === '' ? '' : `: ${lines}`;
  }

  private take(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length > 2 * this.maxBytes) this.chunks = [this.bytes()];
  }

  private bytes(): Buffer {
    const all = Buffer.concat(this.chunks);
    const kept = all.subarray(Math.max(0, all.length - this.maxBytes));
    this.length = kept.length;
    return kept;
  }
}
