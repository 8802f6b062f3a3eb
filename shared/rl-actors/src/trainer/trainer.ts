import { join, resolve } from 'node:path';
import { endpoint, ForgeActor } from '@forge/actors';
import { parseConfig } from '@forge/config';
import { check, type Batch, type WeightsAnnouncement } from '@forge/contracts';
import type { WorkerHandle } from '@forge/threads';
import { z } from 'zod';
import { runPositionSchema, type RunPosition } from '../checkpoint/checkpoint';
import { openWorker } from '../open-worker';
import type { TrainingEpisode } from '../training-episode';
import type { TrainApi } from './train-worker';
import {
  resumePointSchema,
  trainerConfigSchema,
  type ResumePoint,
  type TrainerConfig,
  type TrainerSettings,
} from './trainer-config';
import type { TrainedStep } from './training';

const versionsSchema = z.array(z.int().min(0));

/**
 * Improves a model step by step; its version counts the steps. A trainer whose process dies begins anew where its
 * config says: hand it `resumeFrom`, or keep it out of harm's way.
 */
export class Trainer extends ForgeActor {
  private readonly settings: TrainerSettings;
  private worker!: WorkerHandle<TrainApi>;

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` what `loadModel` throws, CONFIG_MODULE_UNLOADABLE. */
  constructor(config: TrainerConfig) {
    super();
    this.settings = parseConfig(trainerConfigSchema, config, 'TrainerConfig');
  }

  override async setup(): Promise<void> {
    this.worker = await openWorker<TrainApi>(join(__dirname, 'train-worker'), this.settings);
  }

  override async cleanup(): Promise<void> {
    await this.worker.terminate();
  }

  /**
   * One optimizer step on episodes; everything is as before when it fails. Episodes side by side with the same `rollout` are parts
   * of one: number them through all groups.
   *
   * @throws {ForgeError} STALE_EPISODE when a token is older than `maxStaleness` allows; NUMERIC_NON_FINITE;
   *   NUMERIC_LIMIT_EXCEEDED for a step beyond `rollback`;
   *   CONTRACT_INVALID_MESSAGE for no episodes or a broken one.
   */
  @endpoint()
  trainStep(episodes: readonly TrainingEpisode[]): Promise<TrainedStep> {
    return this.worker.call('trainStep', episodes);
  }

  /**
   * One step on a batch of the pipeline, whose encoded groups are `payloads` in its order; `maxStaleness` is the bound
   * it was formed under, by default that of the config. Payloads in shared memory reach the thread without a copy.
   *
   * @throws {ForgeError} as `trainStep`; BUG_INVARIANT when the batch is for another version or other groups.
   */
  @endpoint()
  trainBatch(
    batch: Batch,
    payloads: readonly Uint8Array[],
    maxStaleness = this.settings.maxStaleness,
  ): Promise<TrainedStep> {
    const transfer = ownBuffers(payloads);
    return this.worker.call('trainBatch', { batch, payloads, maxStaleness }, { transfer });
  }

  /**
   * Writes the weights of this version to a file, verified by checksum; what policies are told to read. Of older versions
   * the newest `keepVersions` and those `inUse` stay.
   */
  @endpoint()
  publishWeights(inUse: readonly number[] = []): Promise<WeightsAnnouncement> {
    return this.worker.call('publish', check(versionsSchema, inUse, 'versions in use'));
  }

  /**
   * Instead of a step: the next version has the parameters and moments of version `to` that is kept, by `keepVersions` or
   * as a checkpoint, and of which `sha256` is the hash where that is known.
   *
   * @throws {ForgeError} CONFLICT_STATE when it is not kept; CONTRACT_WEIGHTS_CORRUPT; then everything is as before.
   */
  @endpoint()
  rollBack(to: number, sha256: string | null = null): Promise<void> {
    check(versionsSchema, [to], 'version');
    return this.worker.call('rollBack', { to, sha256 });
  }

  /** Steps trained so far. */
  @endpoint()
  version(): Promise<number> {
    return this.worker.call('version', undefined);
  }

  /** Writes the model in Hugging Face layout; relative paths are against `dir` of the config. */
  @endpoint()
  save(dir: string): Promise<void> {
    return this.worker.call('save', resolve(this.settings.dir, dir));
  }

  /**
   * Model and optimizer state in a directory of their own under `dir`, which `resume` takes; the newest `keepCheckpoints`
   * are kept. `run`: where the run stands that the trainer belongs to.
   */
  @endpoint()
  checkpoint(run: RunPosition | null = null): Promise<string> {
    const position = run === null ? null : check(runPositionSchema, run, 'position of the run');
    return this.worker.call('checkpoint', position);
  }

  /**
   * Becomes the trainer of an epoch, and goes on from what its predecessor left; the version. Quicker than `resume`, since model and graph stay: what a successor does once it has started beside its predecessor.
   *
   * @throws {ForgeError} as `resume`.
   */
  @endpoint()
  takeOver(epoch: number, from?: ResumePoint): Promise<number> {
    const point = from === undefined ? undefined : check(resumePointSchema, from, 'resume point');
    return this.worker.call('takeOver', { epoch, from: point });
  }

  /**
   * Goes on from a published version or a checkpoint, with the same bits; its version.
   *
   * @throws {ForgeError} STALE_WEIGHTS, CONTRACT_WEIGHTS_CORRUPT naming the file, CONFLICT_STATE for a checkpoint of
   *   another model; then it stays where it was.
   */
  @endpoint()
  resume(from: ResumePoint): Promise<number> {
    return this.worker.call('resume', check(resumePointSchema, from, 'resume point'));
  }
}

/** The buffers that hold one payload each, which the thread can be given; it shares or copies what lies in others. */
function ownBuffers(payloads: readonly Uint8Array[]): ArrayBuffer[] {
  return payloads.flatMap(({ buffer, byteLength }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [],
  );
}
