import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Batch } from '@forge/contracts';
import {
  BASE_FILE,
  parseStepFile,
  seal,
  stepFile,
  type RecordedBase,
  type RecordedStep,
} from './record-file';

/** With the epoch of its writer. */
const TEMPORARY = /\.(\d+)\.tmp$/;

/**
 * Keeps what a run trains on, a file a step, so that `replay` can do the same again. A step is written before it is
 * committed: a trainer that dies in between repeats the step and writes the same file. A trainer that was replaced and
 * does not know it yet touches nothing of its successor's.
 */
export class Recorder {
  private constructor(
    private readonly dir: string,
    private readonly runId: string,
    private readonly epoch: number,
  ) {}

  /**
   * The record of a run in `dir`, for the trainer of `epoch` to go on from `version`. What earlier trainers left there of
   * later steps was not committed, and goes, as does what they left half-written.
   */
  static async open(dir: string, runId: string, version: number, epoch: number): Promise<Recorder> {
    await mkdir(dir, { recursive: true });
    const isGone = (name: string): boolean => {
      const step = parseStepFile(name);
      if (step !== null) return step.version > version && step.epoch < epoch;
      return Number(TEMPORARY.exec(name)?.[1] ?? Infinity) < epoch;
    };
    const gone = (await readdir(dir)).filter(isGone);
    await Promise.all(gone.map((name) => rm(join(dir, name), { force: true })));
    return new Recorder(dir, runId, epoch);
  }

  /** Records the start of the training: the hash of version 0, and the trainer's settings. */
  base(trainer: RecordedBase['trainer'], weightsHash: string): Promise<void> {
    return this.write(BASE_FILE, { runId: this.runId, trainer, weightsHash });
  }

  /**
   * A batch with its encoded groups, and the hash of the weights it led to: by training, or by going back to another
   * version.
   */
  step(
    batch: Batch,
    payloads: readonly Uint8Array[],
    weightsHash: string,
    rolledBackTo: number | null = null,
  ): Promise<void> {
    const { runId, epoch } = this;
    return this.write(stepFile({ version: batch.version + 1, epoch }), {
      runId,
      batch,
      payloads: [...payloads],
      rolledBackTo,
      weightsHash,
    });
  }

  /** A file appears whole or not at all. */
  private async write(name: string, content: RecordedBase | RecordedStep): Promise<void> {
    const path = join(this.dir, name);
    const temporary = `${path}.${this.epoch}.tmp`;
    await writeFile(temporary, seal(content), { flush: true });
    await rename(temporary, path);
  }
}
