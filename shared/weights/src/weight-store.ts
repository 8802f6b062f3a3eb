import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Parameters } from './parameters';
import { parseSafetensors, readFully, writeSafetensors } from './safetensors';
import { corrupt } from './safetensors-header';

/** Small enough that hashing a piece does not hold up heartbeats. */
const PIECE_BYTES = 4 << 20;
/** A blob, or what a writer that died left of one. */
const BLOB = /^v(\d+)-e\d+\.safetensors(\..+\.tmp)?$/;

/**
 * Published weight versions as files of one directory (tmpfs or a volume) that writer and readers share.
 *
 * A blob is named after version and epoch, so a stalled old trainer never writes over a newer one's file.
 */
export class WeightStore {
  readonly #dir: string;
  readonly #keep: number;
  /** Reading a fresh buffer per version costs 2-4 times as much in page faults: two take turns. */
  readonly #buffers = [new ArrayBuffer(0), new ArrayBuffer(0)];
  #reading: Promise<unknown> = Promise.resolve();

  /** `keep`: how many of the newest versions `collect` spares, at least 1. */
  constructor({ dir, keep }: { dir: string; keep: number }) {
    this.#dir = path.resolve(dir);
    this.#keep = Math.max(1, keep);
  }

  /** Writes the blob of a version and describes it. The blob is complete when this resolves; nothing is announced. */
  async publish(version: number, epoch: number, parameters: Parameters): Promise<WeightsAnnouncement> {
    await mkdir(this.#dir, { recursive: true });
    const file = path.join(this.#dir, `v${version}-e${epoch}.safetensors`);
    const hash = createHash('sha256');
    await writeSafetensors(file, parameters, { dtype: 'F32', onBytes: (bytes) => hash.update(bytes) });
    const { size } = await stat(file);
    return { schemaVersion: 1, version, epoch, path: file, sizeBytes: size, sha256: hash.digest('hex') };
  }

  /**
   * The announced parameters, verified. They are views of a buffer that the second successful read from here overwrites.
   *
   * @throws {ForgeError} STALE_WEIGHTS when the blob was collected (a newer version exists);
   * CONTRACT_WEIGHTS_CORRUPT when its size or checksum differs from the announcement.
   */
  read(announcement: WeightsAnnouncement): Promise<Parameters> {
    const reading = this.#reading.then(() => this.#read(announcement));
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  async #read({ path: file, sizeBytes, sha256, version }: WeightsAnnouncement): Promise<Parameters> {
    const handle = await open(file, 'r').catch((cause: unknown) => {
      throw new ForgeError(
        'STALE_WEIGHTS',
        `${file}: version ${version} is gone; read the newest announcement instead`,
        { file, version },
        { cause },
      );
    });
    try {
      const { size } = await handle.stat();
      if (size !== sizeBytes) throw corrupt(file, `found ${size} bytes, announced ${sizeBytes}`);
      const bytes = this.#spareBuffer(sizeBytes);
      const hash = createHash('sha256');
      await readFully(handle, bytes, 0, file, {
        pieceBytes: PIECE_BYTES,
        onBytes: (piece) => hash.update(piece),
      });
      const found = hash.digest('hex');
      if (found !== sha256) throw corrupt(file, `found sha256 ${found}, announced ${sha256}`);
      const parameters = parseSafetensors(bytes, file);
      this.#buffers.reverse();
      return parameters;
    } finally {
      await handle.close();
    }
  }

  /** The buffer that the last successful read did not fill. */
  #spareBuffer(sizeBytes: number): Uint8Array {
    if (this.#buffers[0]!.byteLength < sizeBytes) this.#buffers[0] = new ArrayBuffer(sizeBytes);
    return new Uint8Array(this.#buffers[0]!, 0, sizeBytes);
  }

  /** Deletes all but the newest `keep` versions. */
  async collect(): Promise<void> {
    const blobs = (await readdir(this.#dir))
      .map((name) => ({ name, version: Number(BLOB.exec(name)?.[1]) }))
      .filter(({ version }) => !Number.isNaN(version));
    const versions = [...new Set(blobs.map(({ version }) => version))].sort((a, b) => b - a);
    const kept = versions.slice(0, this.#keep);
    const old = blobs.filter(({ version }) => !kept.includes(version));
    await Promise.all(old.map(({ name }) => rm(path.join(this.#dir, name), { force: true })));
  }
}
