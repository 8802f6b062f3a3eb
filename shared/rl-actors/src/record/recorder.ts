import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Batch } from '@forge/contracts';
import { BASE_FILE, seal, stepFile, versionOf, type RecordedBase, type RecordedStep } from './record-file';

const TEMPORARY = /\.tmp$/;

/**
 * Keeps what a run trains on, a file a step, so that `replay` can do the same again. A step is written before it is
 * committed: a trainer that dies in between repeats the step and writes the same file.
 */
export class Recorder {
  private constructor(
    private readonly dir: string,
    private readonly runId: string,
  ) {}

  /**
   * The record of a run in `dir`, to go on from `version`. What is there of later steps was not committed, and what a
   * writer that died left half-written is gone.
   */
  static async open(dir: string, runId: string, version: number): Promise<Recorder> {
    await mkdir(dir, { recursive: true });
    const gone = (await readdir(dir)).filter(
      (name) => TEMPORARY.test(name) || (versionOf(name) ?? 0) > version,
    );
    await Promise.all(gone.map((name) => rm(join(dir, name), { force: true })));
    return new Recorder(dir, runId);
  }

  /** What training starts from: the hash of version 0, and the trainer's settings. */
  base(trainer: RecordedBase['trainer'], weights: string): Promise<void> {
    return this.write(BASE_FILE, { runId: this.runId, trainer, weights });
  }

  /**
   * A batch with its encoded groups, and the hash of the weights it led to: by training, or by going back to another
   * version.
   */
  step(
    batch: Batch,
    payloads: readonly Uint8Array[],
    weights: string,
    rolledBackTo: number | null = null,
  ): Promise<void> {
    const { runId } = this;
    return this.write(stepFile(batch.step + 1), {
      runId,
      batch,
      payloads: [...payloads],
      rolledBackTo,
      weights,
    });
  }

  /** A file appears whole or not at all. */
  private async write(name: string, content: RecordedBase | RecordedStep): Promise<void> {
    const path = join(this.dir, name);
    const temporary = `${path}.${randomUUID()}.tmp`;
    await writeFile(temporary, seal(content), { flush: true });
    await rename(temporary, path);
  }
}
