import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import type { Parameters } from './parameters';
import { writeSafetensors } from './safetensors';
import { WeightReader } from './weight-reader';

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
  readonly #reader = new WeightReader();

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

  /** As `WeightReader.read`. */
  read(announcement: WeightsAnnouncement): Promise<Parameters> {
    return this.#reader.read(announcement);
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
