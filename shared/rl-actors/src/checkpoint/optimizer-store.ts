import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile } from '@forge/files';
import { checkSeal, damaged, sealSchema } from './seal';
import type { Parameters } from '@forge/weights';
import { readMoments, writeMoments, type TrainingState } from './moments';

const FILE = /^v(\d+)-e\d+\.optimizer\./;

/**
 * Adam's moments of the newest versions, and their parameters where the blobs are rounded, beside the weight blobs of the
 * same version and epoch, each with its seal. They are written before a step is committed, so that a trainer that dies
 * resumes with the same bits.
 */
export class OptimizerStore {
  constructor(private readonly dir: string) {}

  /** The store that the moments of a weight blob are in. */
  static beside(blob: string): OptimizerStore {
    return new OptimizerStore(dirname(blob));
  }

  async save(version: number, epoch: number, training: TrainingState): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const { file, seal } = this.paths(version, epoch);
    await replaceFile(seal, JSON.stringify(await writeMoments(file, training)), { flush: false });
  }

  /** @throws {ForgeError} as `verify`. */
  async load(version: number, epoch: number): Promise<TrainingState<Parameters>> {
    await this.verify(version, epoch);
    return readMoments(this.paths(version, epoch).file, version);
  }

  /** @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT when the moments are not there or not what was written. */
  async verify(version: number, epoch: number): Promise<void> {
    const { file, seal } = this.paths(version, epoch);
    let expected;
    try {
      expected = sealSchema.parse(JSON.parse(await readFile(seal, 'utf8')));
    } catch {
      throw damaged(seal, 'it is missing or not what was written');
    }
    await checkSeal(file, expected);
  }

  /** Deletes the moments of versions but those `kept`. */
  async collect(kept: ReadonlySet<number>): Promise<void> {
    const old = (await readdir(this.dir)).filter((name) => {
      const version = FILE.exec(name)?.[1];
      return version !== undefined && !kept.has(Number(version));
    });
    await Promise.all(old.map((name) => rm(join(this.dir, name), { force: true })));
  }

  private paths(version: number, epoch: number): { file: string; seal: string } {
    const stem = join(this.dir, `v${version}-e${epoch}.optimizer`);
    return { file: `${stem}.safetensors`, seal: `${stem}.seal` };
  }
}
