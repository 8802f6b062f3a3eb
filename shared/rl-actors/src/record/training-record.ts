import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import type { z } from 'zod';
import {
  BASE_FILE,
  recordedBaseSchema,
  recordedStepSchema,
  parseStepFile,
  stepFile,
  unseal,
  type RecordedBase,
  type RecordedStep,
} from './record-file';

/** Record that a `Recorder` wrote, as far as it has come. */
export class TrainingRecord {
  private constructor(
    private readonly dir: string,
    readonly base: RecordedBase,
    /** By version, of the trainer whose step counts. */
    private readonly epochs: ReadonlyMap<number, number>,
  ) {}

  /** The newest version it leads to. */
  get lastVersion(): number {
    return Math.max(0, ...this.epochs.keys());
  }

  /** @throws {ForgeError} CONFIG_FILE_UNREADABLE when there is no record, or its first file can't be used. */
  static async open(dir: string): Promise<TrainingRecord> {
    const names = await readdir(dir).catch(() => null);
    if (names === null) {
      const message = `${dir}: there is no record; a run keeps one when it is started with --record`;
      throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { dir });
    }
    const base = await readRecorded(recordedBaseSchema, join(dir, BASE_FILE));
    const epochs = new Map<number, number>();
    for (const { version, epoch } of names.flatMap((name) => parseStepFile(name) ?? []))
      epochs.set(version, Math.max(epoch, epochs.get(version) ?? 0));
    return new TrainingRecord(dir, base, epochs);
  }

  /**
   * The step that makes a version.
   *
   * @throws {ForgeError} CONFIG_FILE_UNREADABLE when its file is missing, damaged, or of another run or step.
   */
  async step(version: number): Promise<RecordedStep> {
    const epoch = this.epochs.get(version);
    if (epoch === undefined) throw incomplete(this.dir, `the step that makes version ${version} is missing`);
    const path = join(this.dir, stepFile({ version, epoch }));
    const step = await readRecorded(recordedStepSchema, path);
    const { runId, batch } = step;
    if (runId === this.base.runId && batch.version === version - 1) return step;
    const message = `${path}: found batch ${batch.version} of run ${runId}, expected batch ${version - 1} of run ${this.base.runId}`;
    throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { path });
  }
}

async function readRecorded<S extends z.ZodType>(schema: S, path: string): Promise<z.output<S>> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw incomplete(
      path,
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : String(cause),
      cause,
    );
  }
  return unseal(schema, bytes, path);
}

function incomplete(path: string, reason: string, cause?: unknown): ForgeError {
  const message = `${path}: ${reason}; the record is not complete`;
  return new ForgeError('CONFIG_FILE_UNREADABLE', message, { path }, { cause });
}
