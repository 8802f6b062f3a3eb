/** The part of a chunk of tokens that belongs to one request. */
export interface ChunkMark {
  /** Milliseconds since the epoch. */
  endedAtMs: number;
  /** Policy version of the weights that generated it. */
  version: number;
  tokens: number;
  /** Completions that were under way. */
  rows: number;
}

export interface ChunkListener {
  /** Told of every chunk in which tokens of the request were generated. */
  onChunk?: (chunk: ChunkMark) => void;
}

/** Counts the tokens and rows of a chunk for the requests that listen. */
export class ChunkMarks {
  private readonly marks = new Map<ChunkListener, ChunkMark>();

  constructor(private readonly version: number) {}

  /** Tokens of one completion. */
  add(request: ChunkListener, tokens: number): void {
    if (request.onChunk === undefined) return;
    const mark = this.marks.get(request) ?? {
      endedAtMs: Date.now(),
      version: this.version,
      tokens: 0,
      rows: 0,
    };
    mark.tokens += tokens;
    mark.rows += 1;
    this.marks.set(request, mark);
  }

  tell(): void {
    for (const [{ onChunk }, mark] of this.marks) onChunk?.(mark);
  }
}
