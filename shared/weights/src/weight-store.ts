import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  check,
  SCHEMA_VERSION,
  weightsManifestSchema,
  type WeightsAnnouncement,
  type WeightsManifest,
  type WeightsOrigin,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { absentAs, replaceFile } from '@forge/files';
import type { Tensors } from './parameters';
import { writeSafetensors, type SafetensorsFormat } from './safetensors';
import { corrupt } from './safetensors-header';

const BLOB = /^([0-9a-f]{64})\.safetensors$/;
const MANIFEST = /^v(\d+)-e\d+\.json$/;
/** Leftovers of a writer that died: parts of a blob or a manifest. */
const LEFTOVER = /^v(\d+)-e\d+\..*tmp$/;

/** The origin of a version without a step and a parent. */
const NO_ORIGIN: WeightsOrigin = { parent: null, trained: null };

/**
 * Published weight versions in one directory (tmpfs or a volume) that writer and readers share: a manifest for every
 * version and epoch, so that a stalled old trainer never writes over a newer one's, and blobs named by the hash of what
 * is in them, one for all versions of equal content.
 */
export class WeightStore {
  readonly #dir: string;
  readonly #keep: number;
  readonly #format: SafetensorsFormat;

  /**
   * `keep`: how many of the newest versions `collect` spares, at least 2: a crash goes back to the one before. `format`:
   * that of the blobs.
   */
  constructor({
    dir,
    keep,
    format = { dtype: 'F32' },
  }: {
    dir: string;
    keep: number;
    format?: SafetensorsFormat;
  }) {
    this.#dir = path.resolve(dir);
    this.#keep = Math.max(2, keep);
    this.#format = format;
  }

  /**
   * Writes manifest and blob of a version and describes it, its hash taken while it was written. Both are complete when
   * this resolves; nothing is announced. Publishing a version again replaces a blob that was damaged meanwhile.
   *
   * @throws {ForgeError} NUMERIC_NON_FINITE when a value is too large for the dtype of the store.
   */
  async publish(
    version: number,
    epoch: number,
    weights: Tensors,
    { parent, trained }: WeightsOrigin = NO_ORIGIN,
  ): Promise<WeightsAnnouncement> {
    await mkdir(this.#dir, { recursive: true });
    const name = `v${version}-e${epoch}`;
    const temporary = path.join(this.#dir, `${name}.${randomUUID()}.tmp`);
    const { sha256, sizeBytes, tensors } = await writeSafetensors(temporary, weights, this.#format);
    const manifest: WeightsManifest = {
      schemaVersion: SCHEMA_VERSION.weightsManifest,
      version,
      epoch,
      sha256,
      sizeBytes,
      parent,
      trained,
      tensors,
    };
    // The manifest comes before the blob: a collector spares every blob that a manifest names.
    await this.#writeManifest(name, manifest);
    const blob = this.blobOf(manifest);
    await rename(temporary, blob);
    return {
      schemaVersion: SCHEMA_VERSION.weightsAnnouncement,
      version,
      epoch,
      path: blob,
      sizeBytes,
      sha256,
    };
  }

  get dir(): string {
    return this.#dir;
  }

  blobOf({ sha256 }: Pick<WeightsManifest, 'sha256'>): string {
    return path.join(this.#dir, `${sha256}.safetensors`);
  }

  /** The announcement of a version that is kept. */
  announcementOf(manifest: WeightsManifest): WeightsAnnouncement {
    const { version, epoch, sizeBytes, sha256 } = manifest;
    return {
      schemaVersion: SCHEMA_VERSION.weightsAnnouncement,
      version,
      epoch,
      path: this.blobOf(manifest),
      sizeBytes,
      sha256,
    };
  }

  /**
   * The manifests that are kept, oldest version first; one of each trainer that published the version.
   *
   * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT for a manifest that can't be read.
   */
  async manifests(): Promise<WeightsManifest[]> {
    const names = (await this.#names()).filter((name) => MANIFEST.test(name));
    const manifests = await Promise.all(names.map((name) => this.#readManifest(name)));
    return manifests
      .filter((manifest) => manifest !== null)
      .sort((a, b) => a.version - b.version || a.epoch - b.epoch);
  }

  /**
   * Deletes versions but the newest `keep` and those in `inUse`, blobs that no version is left of, and leftovers of
   * dead writers; returns the versions that are left.
   */
  async collect(inUse: readonly number[] = []): Promise<ReadonlySet<number>> {
    const names = await this.#names();
    const versionOf = (name: string): number => Number((MANIFEST.exec(name) ?? LEFTOVER.exec(name))?.[1]);
    const versions = new Set(names.filter((name) => MANIFEST.test(name)).map(versionOf));
    const newest = [...versions].sort((a, b) => b - a).slice(0, this.#keep);
    const kept = new Set([...newest, ...inUse.filter((version) => versions.has(version))]);
    const oldest = newest.at(-1) ?? 0;
    const isOld = (name: string): boolean => versionOf(name) < oldest && !kept.has(versionOf(name));
    const old = names.filter(isOld);
    const unused = await this.#unusedBlobs(
      names,
      names.filter((name) => MANIFEST.test(name) && !isOld(name)),
    );
    await Promise.all([...old, ...unused].map((name) => rm(path.join(this.#dir, name), { force: true })));
    return kept;
  }

  /** Blobs that none of the manifests names; none when one of them can't tell. */
  async #unusedBlobs(names: readonly string[], manifests: readonly string[]): Promise<string[]> {
    try {
      const left = await Promise.all(manifests.map((name) => this.#readManifest(name)));
      const used = new Set(left.map((manifest) => manifest?.sha256));
      return names.filter((name) => BLOB.test(name) && !used.has(BLOB.exec(name)![1]));
    } catch (error) {
      if (error instanceof ForgeError) return [];
      throw error;
    }
  }

  async #writeManifest(name: string, manifest: WeightsManifest): Promise<void> {
    const file = path.join(this.#dir, `${name}.json`);
    await replaceFile(file, `${JSON.stringify(manifest)}\n`, { flush: false });
  }

  /** Null when it was collected meanwhile. */
  async #readManifest(name: string): Promise<WeightsManifest | null> {
    const file = path.join(this.#dir, name);
    try {
      return check(weightsManifestSchema, JSON.parse(await readFile(file, 'utf8')), file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      if (error instanceof SyntaxError || error instanceof ForgeError) throw corrupt(file, error.message);
      throw error;
    }
  }

  async #names(): Promise<string[]> {
    return absentAs([], () => readdir(this.#dir));
  }
}
