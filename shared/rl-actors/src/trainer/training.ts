import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Batch, WeightsAnnouncement, WeightsOrigin } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import {
  loadModel,
  saveModel,
  TrainStep,
  type LoadedModel,
  type OptimizerState,
  type StepResult,
} from '@forge/model';
import { loadAlgorithm } from '../recipe/run-parts';
import { hashSafetensors, WeightReader, WeightStore, type Parameters } from '@forge/weights';
import type { TrainingEpisode } from '../training-episode';
import { checkLag, type LagStatistics } from './lag';
import { OptimizerStore } from './optimizer-store';
import { decodeGroups, trainEpisodes } from './train-episodes';
import type { ResumePoint, TrainerSettings } from './trainer-config';

/** What a step gives, and how old the tokens were. */
export interface TrainedStep extends StepResult {
  lag: LagStatistics;
}

const KEPT_CHECKPOINTS = 2;
const CHECKPOINT = /^step-(\d+)$/;

/** The model being trained. A step blocks the thread it runs on. */
export class Training {
  /** What the current version was made of. */
  private origin: WeightsOrigin = { parent: null, trained: null };
  /** The version that was published, or gone on from, last. */
  private published: WeightsOrigin['parent'] = null;

  private constructor(
    private readonly settings: TrainerSettings,
    private readonly model: LoadedModel,
    private readonly step: TrainStep,
    private readonly weights: WeightStore,
    private readonly optimizer: OptimizerStore,
  ) {}

  static async open(settings: TrainerSettings): Promise<Training> {
    const { dir, optimizer: options, temperature, steps } = settings;
    const weightsDir = join(dir, 'weights');
    const model = await loadModel(settings.model);
    const start = await startingPoint(settings.resumeFrom);
    const step = await TrainStep.create({
      engine: createEngine({ threads: options.threads, provider: options.device }),
      config: model.config,
      parameters: start?.parameters ?? model.parameters,
      loss: (await loadAlgorithm(settings)).loss,
      temperature,
      optimizer: { ...options, totalSteps: steps },
      microBatchTokens: options.microBatchTokens,
      logitsChunk: options.logitsChunk,
      recompute: options.recompute,
      limits: settings.rollback,
    });
    if (start?.state) step.restore(start.state);
    const weights = new WeightStore({ dir: weightsDir, keep: settings.keepVersions });
    const training = new Training(settings, model, step, weights, new OptimizerStore(weightsDir));
    if (typeof settings.resumeFrom === 'object') await training.takeOrigin(settings.resumeFrom);
    return training;
  }

  get version(): number {
    return this.step.stepNumber;
  }

  /** One step; the lag of every token is checked before the gradient. */
  async trainStep(episodes: readonly TrainingEpisode[]): Promise<TrainedStep> {
    const parts = episodes.map((episode, i) => ({ name: `episode ${i}`, episodes: [episode] }));
    const { version } = this;
    const lag = checkLag(version, parts, this.settings.maxStaleness);
    const result = await this.step.step(episodes);
    this.origin = { parent: this.published, trained: { step: version, groups: [] } };
    return { ...result, lag };
  }

  /** One step on a batch of the pipeline, whose groups are `payloads` in its order. */
  async trainBatch(batch: Batch, payloads: readonly Uint8Array[]): Promise<TrainedStep> {
    const { version } = this;
    if (batch.step !== version) {
      throw new ForgeError('BUG_INVARIANT', `batch ${batch.step} came to version ${version} of the policy`, {
        step: batch.step,
        version,
      });
    }
    const groups = decodeGroups(batch, payloads);
    const parts = groups.map(({ index, episodes }) => ({ name: `group ${index}`, episodes }));
    const lag = checkLag(version, parts, this.settings.maxStaleness);
    const result = await this.step.step(trainEpisodes(batch, groups));
    const trained = { step: version, groups: batch.groups.map(({ index }) => index) };
    this.origin = { parent: this.published, trained };
    return { ...result, lag };
  }

  /**
   * Writes the current version, ready to be announced; older ones are deleted, but the newest `keepVersions` and those
   * `inUse`.
   */
  async publish(inUse: readonly number[] = []): Promise<WeightsAnnouncement> {
    const { version } = this;
    const { epoch } = this.settings;
    const announcement = await this.weights.publish(version, epoch, this.step.parameters(), this.origin);
    await this.optimizer.save(version, epoch, this.step.state());
    this.published = { version, sha256: announcement.sha256 };
    // The version before stays: until the commit it is the one a crash goes back to.
    await this.optimizer.collect(await this.weights.collect(inUse));
    return announcement;
  }

  /**
   * Makes the next version one with the parameters and moments of version `to`, whose hash is `sha256` where that is known.
   * Steps and schedule go on counting.
   *
   * @throws {ForgeError} CONFLICT_STATE when that version is not kept; CONTRACT_WEIGHTS_CORRUPT.
   */
  async rollBack(to: number, sha256: string | null): Promise<void> {
    const { version } = this;
    const next = version + 1;
    if (to === version) {
      this.step.restore({ ...this.step.state(), step: next });
      this.origin = { parent: this.published, trained: null };
      return;
    }
    const { parameters, state } = await this.kept(to, sha256);
    this.step.restore({ ...state, step: next }, parameters);
    this.origin = { parent: { version: to, sha256: hashSafetensors(parameters) }, trained: null };
  }

  /** A version that was published, or whose checkpoint there is. */
  private async kept(
    version: number,
    sha256: string | null,
  ): Promise<{ parameters: Parameters; state: OptimizerState }> {
    const manifest = (await this.weights.manifests())
      .filter((one) => one.version === version && (sha256 === null || one.sha256 === sha256))
      .at(-1);
    if (manifest !== undefined) {
      const parameters = await this.weights.read(this.weights.announcementOf(manifest));
      return { parameters, state: await this.optimizer.load(version, manifest.epoch) };
    }
    const checkpoint = join(this.settings.dir, 'checkpoints', `step-${version}`);
    if (!existsSync(checkpoint)) {
      const message = `version ${version} is not kept any more: neither in ${this.weights.dir} nor as ${checkpoint}`;
      throw new ForgeError('CONFLICT_STATE', message, { version });
    }
    const start = await startingPoint(checkpoint);
    return { parameters: start!.parameters, state: start!.state! };
  }

  /** Writes the current version as a model in Hugging Face layout. */
  async save(dir: string): Promise<void> {
    const { config, files } = this.model;
    const parameters: Parameters = this.step.parameters();
    await saveModel(dir, { config, files, parameters }, this.settings.optimizer);
  }

  /** A checkpoint people can go back to: the model, and the optimizer's state beside it. Older ones make room. */
  async checkpoint(): Promise<string> {
    const { version } = this;
    const parent = join(this.settings.dir, 'checkpoints');
    const dir = join(parent, `step-${version}`);
    await this.save(dir);
    await new OptimizerStore(dir).save(version, this.settings.epoch, this.step.state());
    const steps = (await readdir(parent)).flatMap((name) => Number(CHECKPOINT.exec(name)?.[1] ?? NaN));
    const old = steps
      .filter((step) => step <= version)
      .sort((a, b) => b - a)
      .slice(KEPT_CHECKPOINTS);
    for (const step of old) await rm(join(parent, `step-${step}`), { recursive: true, force: true });
    return dir;
  }

  close(): Promise<void> {
    return this.step.close();
  }

  private async takeOrigin({ version, epoch, sha256 }: WeightsAnnouncement): Promise<void> {
    this.published = { version, sha256 };
    const manifests = await this.weights.manifests();
    const own = manifests.find((one) => one.version === version && one.epoch === epoch);
    if (own) this.origin = { parent: own.parent, trained: own.trained };
  }
}

/** Parameters and moments of a published version or a checkpoint; no moments yet at version 0. */
async function startingPoint(
  from: ResumePoint | undefined,
): Promise<{ parameters: Parameters; state: OptimizerState | null } | null> {
  if (from === undefined) return null;
  if (typeof from === 'string')
    return { parameters: (await loadModel(from)).parameters, state: await new OptimizerStore(from).newest() };
  const { path, version, epoch } = from;
  const parameters = await new WeightReader().read(from);
  return { parameters, state: version > 0 ? await OptimizerStore.beside(path).load(version, epoch) : null };
}
