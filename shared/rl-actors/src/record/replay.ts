import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { ForgeError } from '@forge/errors';
import { Trainer } from '../trainer/trainer';
import type { TrainingRecord } from './training-record';

export interface ReplayOptions {
  /** The version to end at. */
  to: number;
  /** Directory of the base model, where it is not the one that the record names. */
  model?: string;
}

/** A step that was trained again. */
export interface ReplayedStep {
  version: number;
  /** sha256 of the weights it made, and of those it made when it was recorded. */
  weightsHash: string;
  recorded: string;
}

/**
 * Trains what a run has trained, by its record alone; yields version 0, then each step. Every file is checked before the
 * first step. Ending early is fine: the trainer goes, and so do its files.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE when a file of the record can't be used; CONFIG_INVALID when the base
 *   model is not the one that was trained; what `Trainer` throws.
 */
export async function* replay(
  record: TrainingRecord,
  { to, model = record.base.trainer.model }: ReplayOptions,
): AsyncGenerator<ReplayedStep, void> {
  /** Versions that are gone back to. */
  const wanted = new Set<number>();
  for (let version = 1; version <= to; version++) {
    const { rolledBackTo } = await record.step(version);
    if (rolledBackTo !== null) wanted.add(rolledBackTo);
  }

  const dir = await mkdtemp(join(tmpdir(), 'forge-replay-'));
  try {
    const config = { ...record.base.trainer, model, dir };
    const trainer = await thisProc().spawn('trainer', Trainer, config);
    try {
      const { sha256: base } = await trainer.publishWeights.callOne();
      const { weightsHash: expected } = record.base;
      if (base !== expected) {
        const message = `${model}: its weights are ${base}, expected ${expected}, from which the run started; name the directory of that model with --model`;
        throw new ForgeError('CONFIG_INVALID', message, { model, found: base, expected });
      }
      yield { version: 0, weightsHash: base, recorded: expected };
      for (let version = 1; version <= to; version++) {
        const { batch, payloads, rolledBackTo, weightsHash: recorded } = await record.step(version);
        // The bound on lag held when the step was recorded, and may have been another one for each.
        if (rolledBackTo === null) await trainer.trainBatch.callOne(batch, payloads, Infinity);
        else await trainer.rollBack.callOne(rolledBackTo, null);
        const { sha256: weightsHash } = await trainer.publishWeights.callOne([...wanted]);
        yield { version, weightsHash, recorded };
      }
    } finally {
      await trainer.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
