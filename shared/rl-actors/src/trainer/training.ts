import { existsSync } from 'node:fs';
import {
  runPaths,
  storedBound,
  type Batch,
  type Canary,
  type WeightsAnnouncement,
  type WeightsOrigin,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import {
  canaryTokens,
  canaryTolerance,
  engineFor,
  initializeAdapter,
  loadModel,
  saveAdapter,
  saveModel,
  TrainStep,
  type LoadedModel,
  type OptimizerState,
  type StepResult,
} from '@forge/model';
import { loadCheckpoint, writeCheckpoint, type RunPosition } from '../checkpoint/checkpoint';
import { Checkpoints } from '../checkpoint/checkpoints';
import { loadAlgorithm } from '@forge/recipe-parts';
import {
  hashSafetensors,
  parametersHash,
  readVersion,
  WeightStore,
  type Parameters,
  type SafetensorsDtype,
  type SafetensorsFormat,
} from '@forge/weights';
import type { TrainingEpisode } from '../training-episode';
import { checkLag, type LagStatistics } from './lag';
import { OptimizerStore } from '../checkpoint/optimizer-store';
import type { MicroBatches } from './micro-batches';
import { decodeGroups, trainEpisodes } from './train-episodes';
import type { ResumePoint, TrainerSettings } from './trainer-config';

/** Result of a step, and how old the tokens were. */
export interface TrainedStep extends StepResult {
  lag: LagStatistics;
}

/** Parts of a model that training leaves alone. */
interface TrainedModel extends Pick<LoadedModel, 'config' | 'files'> {
  /** Hash of the parameters, where they stay as they are, too, and an adapter is trained. */
  base: string | undefined;
}

/** The model being trained. A step blocks the thread it runs on. */
export class Training {
  /** Origin of the current version. */
  private origin: WeightsOrigin = { parent: null, trained: null };
  /** The version that was published, or gone on from, last. */
  private published: WeightsOrigin['parent'] = null;
  private epoch: number;
  private recent: { version: number; atMs: number }[] = [];

  private constructor(
    private readonly settings: TrainerSettings,
    private readonly model: TrainedModel,
    private readonly step: TrainStep,
    private readonly weights: WeightStore,
    private readonly optimizer: OptimizerStore,
  ) {
    this.epoch = settings.epoch;
  }

  /** `tell` hears of every micro-batch. */
  static async open(settings: TrainerSettings, tell?: (told: MicroBatches) => void): Promise<Training> {
    const { dir, adapter, optimizer: options, temperature, steps } = settings;
    const weightsDir = runPaths(dir).weights;
    const { config, files, parameters } = await loadModel(settings.model);
    const fresh = adapter === undefined ? parameters : initializeAdapter(config, adapter);
    const model = { config, files, base: adapter === undefined ? undefined : parametersHash(parameters) };
    const start = await startingPoint(settings.resumeFrom, model);
    const algorithm = await loadAlgorithm(settings);
    const step: TrainStep = await TrainStep.create({
      engine: await engineFor(options, 'training', config, 'optimizer'),
      config,
      parameters: start?.parameters ?? fresh,
      base: adapter === undefined ? undefined : { parameters, adapter },
      loss: algorithm.loss,
      critic: algorithm.critic,
      referenceTop: algorithm.referenceTop,
      updatesPerBatch: settings.algorithm.updatesPerBatch,
      minibatches: settings.algorithm.minibatches,
      temperature,
      optimizer: { ...options, totalSteps: steps },
      microBatchTokens: options.microBatchTokens,
      logitsChunk: options.logitsChunk,
      recompute: options.recompute,
      limits: settings.rollback,
      onMicroBatch: (done, of) => tell?.({ version: step.stepNumber, done, of }),
    });
    if (start?.state) await step.restore(start.state);
    const weights = new WeightStore({
      dir: weightsDir,
      keep: settings.keepVersions,
      format: blobFormat(settings, model),
    });
    const training = new Training(settings, model, step, weights, new OptimizerStore(weightsDir));
    if (typeof settings.resumeFrom === 'object') await training.takeOrigin(settings.resumeFrom);
    return training;
  }

  get version(): number {
    return this.step.stepNumber;
  }

  /**
   * Publishes as that epoch from now on, and goes on from a published version or a checkpoint; the model is loaded
   * already.
   */
  async takeOver(epoch: number, from: ResumePoint | undefined): Promise<number> {
    const start = await startingPoint(from, this.model);
    if (start?.state) await this.step.restore(start.state, start.parameters);
    if (typeof from === 'object') await this.takeOrigin(from);
    this.epoch = epoch;
    return this.version;
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

  /** One step on a batch of the pipeline, whose groups are `payloads` in its order, under the bound it was formed under. */
  async trainBatch(
    batch: Batch,
    payloads: readonly Uint8Array[],
    maxStaleness: number,
  ): Promise<TrainedStep> {
    const { version } = this;
    if (batch.version !== version) {
      throw new ForgeError(
        'BUG_INVARIANT',
        `batch ${batch.version} came to version ${version} of the policy`,
        {
          batch: batch.version,
          version,
        },
      );
    }
    const groups = decodeGroups(batch, payloads);
    const parts = groups.map(({ index, episodes }) => ({ name: `group ${index}`, episodes }));
    const lag = checkLag(version, parts, maxStaleness);
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
    const { version, epoch } = this;
    const parameters = this.step.parameters();
    const announcement = await this.weights.publish(version, epoch, parameters, this.origin);
    const isRounded = this.settings.publishDtype !== 'F32';
    await this.optimizer.save(version, epoch, {
      state: this.step.state(),
      parameters: isRounded ? parameters : null,
    });
    this.published = { version, sha256: announcement.sha256 };
    // The version before stays: until the commit it is the one a crash goes back to.
    await this.optimizer.collect(await this.weights.collect([...inUse, ...this.young(version)]));
    const isProved = this.model.base !== undefined || this.settings.canary;
    return isProved ? { ...announcement, canary: await this.canary() } : announcement;
  }

  /** Tokens and their log-probs under the current version. */
  private async canary(): Promise<Canary> {
    const { temperature, optimizer } = this.settings;
    const tokenIds = canaryTokens(this.model.config);
    const logprobs = await this.step.logprobs(tokenIds);
    return { tokenIds, temperature, logprobs, tolerance: canaryTolerance(optimizer) };
  }

  /** Versions of the last `keepSeconds`, the one just published included. */
  private young(published: number): number[] {
    const now = performance.now();
    this.recent.push({ version: published, atMs: now });
    this.recent = this.recent.filter(({ atMs }) => atMs > now - 1000 * this.settings.keepSeconds);
    return this.recent.map(({ version }) => version);
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
      await this.step.restore({ ...this.step.state(), step: next });
      this.origin = { parent: this.published, trained: null };
      return;
    }
    const { parameters, state } = await this.kept(to, sha256);
    await this.step.restore({ ...state, step: next }, parameters);
    const hash = hashSafetensors(parameters, blobFormat(this.settings, this.model));
    this.origin = { parent: { version: to, sha256: hash }, trained: null };
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
      const { state, parameters } = await this.optimizer.load(version, manifest.epoch);
      return { state, parameters: parameters ?? (await readVersion(this.weights.announcementOf(manifest))) };
    }
    const checkpoint = new Checkpoints(this.settings.dir).path(version);
    if (!existsSync(checkpoint)) {
      const message = `version ${version} is not kept any more: neither in ${this.weights.dir} nor as ${checkpoint}`;
      throw new ForgeError('CONFLICT_STATE', message, { version });
    }
    return loadCheckpoint(checkpoint, this.model);
  }

  /** Writes the current version as a model in Hugging Face layout, or as an adapter in PEFT's. */
  save(dir: string, format: { dtype: SafetensorsDtype } = this.settings.optimizer): Promise<void> {
    const { config, files } = this.model;
    const { adapter, model: base } = this.settings;
    const parameters = this.step.parameters();
    return adapter === undefined
      ? saveModel(dir, { config, files, parameters }, format)
      : saveAdapter(dir, { base, adapter, parameters }, format);
  }

  /** A checkpoint of the current version, which training can go on from with the same bits. Older ones make room. */
  async checkpoint(run: RunPosition | null): Promise<string> {
    const { epoch } = this;
    const { dir, maxStaleness, keepCheckpoints } = this.settings;
    const { config, base } = this.model;
    const checkpoints = new Checkpoints(dir);
    const path = checkpoints.path(this.version);
    const about = {
      epoch,
      maxStaleness: storedBound(maxStaleness),
      run,
      ...(base !== undefined && { base }),
    };
    // F32 whatever the final model is saved in.
    const save = (temporary: string): Promise<void> => this.save(temporary, { dtype: 'F32' });
    await writeCheckpoint(path, about, { config, save }, this.step.state());
    await checkpoints.retain(keepCheckpoints, this.version);
    return path;
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
  model: TrainedModel,
): Promise<{ parameters: Parameters; state: OptimizerState | null } | null> {
  if (from === undefined) return null;
  if (typeof from === 'string') return loadCheckpoint(from, model);
  const { path, version, epoch } = from;
  const kept = version > 0 ? await OptimizerStore.beside(path).load(version, epoch) : null;
  return { parameters: kept?.parameters ?? (await readVersion(from)), state: kept?.state ?? null };
}

/** The format of the blobs of a run; an adapter's name the base it belongs to, so that their hash is that of both. */
function blobFormat({ publishDtype: dtype }: TrainerSettings, { base }: TrainedModel): SafetensorsFormat {
  return { dtype, ...(base !== undefined && { metadata: { base } }) };
}
