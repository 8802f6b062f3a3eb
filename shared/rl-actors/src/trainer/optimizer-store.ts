import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ForgeError } from '@forge/errors';
import type { OptimizerState } from '@forge/model';
import { readSafetensors, writeSafetensors, type Parameters } from '@forge/weights';

const FILE = /^v(\d+)-e(\d+)\.optimizer\.safetensors/;
const FIRST = 'first.';
const SECOND = 'second.';

/**
 * Adam's moments of the newest versions, beside the weight blobs of the same version and epoch. They are written
 * before a step is committed, so that a trainer that dies resumes with the same bits.
 */
export class OptimizerStore {
  constructor(private readonly dir: string) {}

  /** The store that the moments of a weight blob are in. */
  static beside(blob: string): OptimizerStore {
    return new OptimizerStore(dirname(blob));
  }

  async save(version: number, epoch: number, { firstMoments, secondMoments }: OptimizerState): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const tensors: Parameters = new Map();
    for (const [name, moment] of firstMoments) tensors.set(FIRST + name, moment);
    for (const [name, moment] of secondMoments) tensors.set(SECOND + name, moment);
    await writeSafetensors(this.path(version, epoch), tensors, { dtype: 'F32' });
  }

  async load(version: number, epoch: number): Promise<OptimizerState> {
    const tensors = await readSafetensors(this.path(version, epoch));
    const moments = (prefix: string): Parameters =>
      new Map(
        [...tensors].flatMap(([name, moment]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), moment] as const] : [],
        ),
      );
    return { step: version, firstMoments: moments(FIRST), secondMoments: moments(SECOND) };
  }

  /**
   * The moments of the newest version there.
   *
   * @throws {ForgeError} CONFIG_FILE_UNREADABLE when there are none.
   */
  async newest(): Promise<OptimizerState> {
    const names = await readdir(this.dir).catch(() => []);
    const [newest] = names
      .flatMap((name) => {
        const [, version, epoch] = FILE.exec(name) ?? [];
        return version === undefined ? [] : [{ version: Number(version), epoch: Number(epoch) }];
      })
      .sort((a, b) => b.version - a.version || b.epoch - a.epoch);
    if (newest !== undefined) return this.load(newest.version, newest.epoch);
    const message = `${this.dir}: found no optimizer state, expected a checkpoint as Trainer.checkpoint writes it`;
    throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { dir: this.dir });
  }

  /** Deletes the moments of versions but those `kept`. */
  async collect(kept: ReadonlySet<number>): Promise<void> {
    const old = (await readdir(this.dir)).filter((name) => {
      const version = FILE.exec(name)?.[1];
      return version !== undefined && !kept.has(Number(version));
    });
    await Promise.all(old.map((name) => rm(join(this.dir, name), { force: true })));
  }

  private path(version: number, epoch: number): string {
    return join(this.dir, `v${version}-e${epoch}.optimizer.safetensors`);
  }
}
