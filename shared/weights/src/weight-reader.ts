import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Parameters } from './parameters';
import { parseSafetensors, readFully } from './safetensors';
import { corrupt } from './safetensors-header';

/** Size small enough that hashing a piece does not hold up heartbeats. */
const PIECE_BYTES = 4 << 20;

/** Reads announced weight versions, wherever they lie. */
export class WeightReader {
  /** Reading a fresh buffer per version costs 2-4 times as much in page faults: two take turns. */
  readonly #buffers = [new ArrayBuffer(0), new ArrayBuffer(0)];
  #reading: Promise<unknown> = Promise.resolve();

  /**
   * The announced parameters, verified: views of a buffer that the second successful read from here overwrites.
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
}
