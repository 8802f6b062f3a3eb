import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { endpoint, ForgeActor } from '@forge/actors';
import { check } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { absentAs } from '@forge/files';
import { z } from 'zod';
import { blobName } from './blob-name';

/** A window of pieces is on its way while its reader counts: 4 MiB. */
const PIECE_BYTES = 1 << 18;
/** Hosts that read at a time; more would slow each other down, and had better read from the first to be done. */
const MAX_READERS = 2;
/** A reader that took nothing for so long counts no more: its host may be cut off. */
const STALLED_MS = 5_000;

const hashSchema = z.string().regex(/^[0-9a-f]{64}$/, 'expected a sha256 in hexadecimal digits');
const offsetSchema = z.int().min(0);

export interface ShelfOptions {
  /** Directory of the blobs. */
  dir: string;
  /** Is told how many hosts read, whenever that changes. */
  onReaders: (count: number) => void;
  /** Time in milliseconds. */
  clock: () => number;
}

/** Gives the blobs of a directory to other hosts, by their hash. */
export class WeightsShelf extends ForgeActor {
  /** Time of the last piece of each reader. */
  private readonly readers = new Map<symbol, number>();

  constructor(private readonly options: ShelfOptions) {
    super();
  }

  /**
   * The bytes of a blob from `offset` on, in pieces.
   *
   * @throws {ForgeError} CAPACITY_QUEUE_FULL while as many hosts read as may; STALE_WEIGHTS when it is not here;
   *   CONTRACT_INVALID_MESSAGE.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async *read(sha256: string, offset: number): AsyncGenerator<Uint8Array> {
    const path = join(this.options.dir, blobName(check(hashSchema, sha256, 'sha256')));
    check(offsetSchema, offset, 'offset');
    const reader = Symbol('reader');
    this.admit(reader);
    try {
      const file = await absentAs(null, () => open(path, 'r'));
      if (file === null) throw new ForgeError('STALE_WEIGHTS', `${path} is not here any more`, { sha256 });
      yield* this.pieces(file, offset, reader);
    } finally {
      this.readers.delete(reader);
      this.options.onReaders(this.readers.size);
    }
  }

  private async *pieces(file: FileHandle, offset: number, reader: symbol): AsyncGenerator<Uint8Array> {
    try {
      for (let at = offset; ;) {
        const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
        const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield piece.subarray(0, bytesRead);
        this.readers.set(reader, this.options.clock());
      }
    } finally {
      await file.close();
    }
  }

  private admit(reader: symbol): void {
    const now = this.options.clock();
    const moving = [...this.readers.values()].filter((atMs) => now - atMs < STALLED_MS);
    if (moving.length >= MAX_READERS)
      throw new ForgeError('CAPACITY_QUEUE_FULL', `${moving.length} hosts read weights here already`, {
        maxConcurrent: MAX_READERS,
      });
    this.readers.set(reader, now);
    this.options.onReaders(this.readers.size);
  }
}
