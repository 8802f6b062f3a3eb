import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';

/** The beginning of a blob that is being fetched, and the hash of it. */
export class PartialBlob {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly hash: Hash,
    private length: number,
  ) {}

  /** Remains of an earlier attempt at `path`, or nothing. */
  static async open(path: string, sizeBytes: number): Promise<PartialBlob> {
    const file = await open(path, 'a');
    const hash = createHash('sha256');
    let { size } = await file.stat();
    if (size > sizeBytes) {
      await file.truncate(0);
      size = 0;
    }
    if (size > 0) for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
    return new PartialBlob(path, file, hash, size);
  }

  get sizeBytes(): number {
    return this.length;
  }

  async append(piece: Uint8Array): Promise<void> {
    const written = this.file.appendFile(piece);
    this.hash.update(piece);
    await written;
    this.length += piece.length;
  }

  /** Ends it: at `path` when its hash is `sha256`, else nowhere; whether it was. */
  async settle(path: string, sha256: string): Promise<boolean> {
    const isRight = this.hash.digest('hex') === sha256;
    if (isRight) await rename(this.path, path);
    else await rm(this.path);
    return isRight;
  }

  /** Leaves it for the next attempt. */
  close(): Promise<void> {
    return this.file.close();
  }
}
