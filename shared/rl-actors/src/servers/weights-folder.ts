import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SeededAdapter } from '@forge/config';
import type { WeightsAnnouncement } from '@forge/contracts';
import { adapterConfig, type ModelDescription } from '@forge/model';

/** Directory beside the blobs that has the folders. */
const SERVED = 'served';

/** The model whose weights are announced. */
export interface FolderOf extends Pick<ModelDescription, 'files'> {
  /** Directory of the model, or its name on the hub. */
  model: string;
  adapter: SeededAdapter | undefined;
}

/** Folders that servers read announced weights from, in Hugging Face's layout or, for an adapter, PEFT's. */
export class WeightsFolders {
  /** Tells the folders of this process from those of others beside them. */
  private readonly own = randomUUID().slice(0, 8);

  constructor(
    private readonly of: FolderOf,
    /** Path of the directory of the blobs on the server; undefined: the same as here. */
    private readonly onServer: string | undefined,
  ) {}

  /**
   * Makes the folder of a version, in which the blob is a link, not a copy: the path of it on the server. Of those made
   * before the last one stays.
   */
  async make({ version, path: blob }: WeightsAnnouncement): Promise<string> {
    const { adapter, files, model } = this.of;
    const name = `v${version}-${this.own}`;
    const root = path.join(path.dirname(path.resolve(blob)), SERVED);
    await this.removeOld(root, name);
    const folder = path.join(root, name);
    await mkdir(folder, { recursive: true });
    if (adapter === undefined)
      for (const [file, bytes] of files) await writeFile(path.join(folder, file), bytes);
    else await writeFile(path.join(folder, 'adapter_config.json'), adapterConfig(model, adapter));
    const weights = adapter === undefined ? 'model.safetensors' : 'adapter_model.safetensors';
    // A relative one: the server may have the directory elsewhere.
    await symlink(path.join('..', '..', path.basename(blob)), path.join(folder, weights));
    return this.onServer === undefined ? folder : path.posix.join(this.onServer, SERVED, name);
  }

  private async removeOld(root: string, made: string): Promise<void> {
    const own = (await readdir(root).catch((): string[] => [])).filter((name) =>
      name.endsWith(`-${this.own}`),
    );
    const newest = own
      .filter((name) => name !== made)
      .sort((a, b) => versionOf(a) - versionOf(b))
      .at(-1);
    await Promise.all(
      own
        .filter((name) => name !== newest)
        .map((name) => rm(path.join(root, name), { recursive: true, force: true })),
    );
  }
}

const versionOf = (name: string): number => Number(/^v(\d+)/.exec(name)?.[1]);
