import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import type { z } from 'zod';
import {
  BASE_FILE,
  recordedBaseSchema,
  recordedStepSchema,
  stepFile,
  unseal,
  versionOf,
  type RecordedBase,
  type RecordedStep,
} from './record-file';

/** What a `Recorder` wrote, as far as it has come. */
export class TrainingRecord {
  private constructor(
    private readonly dir: string,
    readonly base: RecordedBase,
    /** The newest version it leads to. */
    readonly lastVersion: number,
  ) {}

  /** @throws {ForgeError} CONFIG_FILE_UNREADABLE when there is no record, or its first file can't be used. */
  static async open(dir: string): Promise<TrainingRecord> {
    const names = await readdir(dir).catch(() => null);
    if (names === null) {
      const message = `${dir}: there is no record; a run keeps one when it is started with --record`;
      throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { dir });
    }
    const base = await readRecorded(recordedBaseSchema, join(dir, BASE_FILE));
    return new TrainingRecord(dir, base, Math.max(0, ...names.map((name) => versionOf(name) ?? 0)));
  }

  /**
   * The step that makes a version.
   *
   * @throws {ForgeError} CONFIG_FILE_UNREADABLE when its file is missing, damaged, or of another run or step.
   */
  async step(version: number): Promise<RecordedStep> {
    const path = join(this.dir, stepFile(version));
    const step = await readRecorded(recordedStepSchema, path);
    const { runId, batch } = step;
    if (runId === this.base.runId && batch.step === version - 1) return step;
    const message = `${path}: found batch ${batch.step} of run ${runId}, expected batch ${version - 1} of run ${this.base.runId}`;
    throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { path });
  }
}

async function readRecorded<S extends z.ZodType>(schema: S, path: string): Promise<z.output<S>> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : String(cause);
    const message = `${path}: ${reason}; the record is not complete`;
    throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { path }, { cause });
  }
  return unseal(schema, bytes, path);
}
