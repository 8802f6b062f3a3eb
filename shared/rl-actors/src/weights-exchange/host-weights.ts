import { access, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import { underLock } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { absentAs } from '@forge/files';
import { timed } from '@forge/telemetry';
import { blobName } from './blob-name';
import { fetchBlob, type FetchOptions } from './fetch-blob';

export interface HostWeightsOptions extends FetchOptions {
  /** Directory of the blobs that this host fetched, shared by its processes. */
  dir: string;
  /** Hashes of the versions that live policies use. */
  inUse: () => Promise<ReadonlySet<string>>;
  /** Is told which blobs this host has whenever one came or went. */
  onHeld: (hashes: readonly string[]) => Promise<void>;
}

/** Versions that a policy may read again besides the one in use. */
const READ_AGAIN = 2;
const BLOB = /^([0-9a-f]{64})\.safetensors(?:\.part)?$/;

/** The announced weights on the disk of this host: those of the trainer where it is the same disk, else fetched ones. */
export class HostWeights {
  private recent: string[] = [];

  constructor(private readonly options: HostWeightsOptions) {}

  /**
   * The result of `work`, which reads an announced version from its path. A blob that was fetched and is damaged by now is
   * fetched once more; blobs that no version needs any more are deleted.
   *
   * @throws {ForgeError} what `work` and `fetchBlob` throw.
   */
  async use<T>(
    announcement: WeightsAnnouncement,
    work: (there: WeightsAnnouncement) => Promise<T>,
  ): Promise<T> {
    if (await isThere(announcement.path)) return work(announcement);
    const there = { ...announcement, path: await this.fetched(announcement) };
    try {
      return await work(there);
    } catch (error) {
      if (!(error instanceof ForgeError) || !error.is('CONTRACT_WEIGHTS_CORRUPT')) throw error;
      this.options.say(`${error.message}; fetching it again`);
      await rm(there.path, { force: true });
      await this.fetched(announcement);
      return await work(there);
    } finally {
      await this.collect();
    }
  }

  /** Tells which blobs are here from an earlier process. */
  async begin(): Promise<void> {
    await this.options.onHeld(await this.held());
  }

  /** The path of a blob on this host; one process of it fetches, others wait. */
  private async fetched(announcement: WeightsAnnouncement): Promise<string> {
    const { dir, say } = this.options;
    const { sha256 } = announcement;
    const path = join(dir, blobName(sha256));
    this.recent = [...this.recent.filter((hash) => hash !== sha256), sha256].slice(-READ_AGAIN);
    if (await isThere(path)) return path;
    await mkdir(dir, { recursive: true });
    await underLock(`${path}.lock`, { onWait: () => undefined }, async () => {
      if (await isThere(path)) return;
      await timed('weights/transfer_ms', () => fetchBlob(path, announcement, this.options));
    });
    say(`fetched version ${announcement.version}`);
    await this.options.onHeld(await this.held());
    return path;
  }

  private async collect(): Promise<void> {
    const { dir, inUse, onHeld } = this.options;
    const needed = new Set([...(await inUse()), ...this.recent]);
    const old = (await this.names()).filter((name) => !needed.has(BLOB.exec(name)![1]!));
    if (old.length === 0) return;
    await Promise.all(old.map((name) => rm(join(dir, name), { force: true })));
    await onHeld(await this.held());
  }

  private async held(): Promise<string[]> {
    return (await this.names()).filter((name) => !name.endsWith('.part')).map((name) => BLOB.exec(name)![1]!);
  }

  private async names(): Promise<string[]> {
    return (await absentAs([], () => readdir(this.options.dir))).filter((name) => BLOB.test(name));
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
