import { join } from 'node:path';
import type { Batch, WeightsAnnouncement } from '@forge/contracts';
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
import { loadCheckpoint, writeCheckpoint, type RunPosition } from '../checkpoint/checkpoint';
import { Checkpoints } from '../checkpoint/checkpoints';
import { loadAlgorithm } from '../recipe/run-parts';
import { WeightReader, WeightStore, type Parameters } from '@forge/weights';
import type { TrainingEpisode } from '../training-episode';
import { checkLag, type LagStatistics } from './lag';
import { OptimizerStore } from './optimizer-store';
import { decodeGroups, trainEpisodes } from './train-episodes';
import type { ResumePoint, TrainerSettings } from './trainer-config';

/** What a step gives, and how old the tokens were. */
export interface TrainedStep extends StepResult {
  lag: LagStatistics;
}

/** Weight versions kept on disk: the one in use, and those a slow reader may be on its way to. */
const KEPT_VERSIONS = 4;

/** The model being trained. A step blocks the thread it runs on. */
export class Training {
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
    const start = await startingPoint(settings.resumeFrom, model);
    const step = await TrainStep.create({
      engine: createEngine({ threads: options.threads, provider: 'cpu' }),
      config: model.config,
      parameters: start?.parameters ?? model.parameters,
      loss: (await loadAlgorithm(settings)).loss,
      temperature,
      optimizer: { ...options, totalSteps: steps },
      microBatchTokens: options.microBatchTokens,
      logitsChunk: options.logitsChunk,
      recompute: options.recompute,
    });
    if (start?.state) step.restore(start.state);
    const weights = new WeightStore({ dir: weightsDir, keep: KEPT_VERSIONS });
    return new Training(settings, model, step, weights, new OptimizerStore(weightsDir));
  }

  get version(): number {
    return this.step.stepNumber;
  }

  /** One step; the lag of every token is checked before the gradient. */
  async trainStep(episodes: readonly TrainingEpisode[]): Promise<TrainedStep> {
    const parts = episodes.map((episode, i) => ({ name: `episode ${i}`, episodes: [episode] }));
    const lag = checkLag(this.version, parts, this.settings.maxStaleness);
    return { ...(await this.step.step(episodes)), lag };
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
    return { ...(await this.step.step(trainEpisodes(batch, groups))), lag };
  }

  /** Writes the current version, ready to be announced; older ones that nobody needs any more are deleted. */
  async publish(): Promise<WeightsAnnouncement> {
    const { version } = this;
    const { epoch } = this.settings;
    const announcement = await this.weights.publish(version, epoch, this.step.parameters());
    await this.optimizer.save(version, epoch, this.step.state());
    // The version before stays: until the commit it is the one a crash goes back to.
    await this.weights.collect();
    await this.optimizer.collect(version - 1);
    return announcement;
  }

  /** Writes the current version as a model in Hugging Face layout. */
  async save(dir: string): Promise<void> {
    const { config, files } = this.model;
    const parameters: Parameters = this.step.parameters();
    await saveModel(dir, { config, files, parameters }, this.settings.optimizer);
  }

  /** A checkpoint of the current version, which training can go on from with the same bits. Older ones make room. */
  async checkpoint(run: RunPosition | null): Promise<string> {
    const { dir, epoch, maxStaleness, keepCheckpoints } = this.settings;
    const { config, files } = this.model;
    const checkpoints = new Checkpoints(dir);
    const path = checkpoints.path(this.version);
    const about = { epoch, maxStaleness: maxStaleness === Infinity ? ('inf' as const) : maxStaleness, run };
    const model = { config, files, parameters: this.step.parameters() };
    await writeCheckpoint(path, about, model, this.step.state());
    await checkpoints.retain(keepCheckpoints, this.version);
    return path;
  }

  close(): Promise<void> {
    return this.step.close();
  }
}

/** Parameters and moments of a published version or a checkpoint; no moments yet at version 0. */
async function startingPoint(
  from: ResumePoint | undefined,
  { config }: LoadedModel,
): Promise<{ parameters: Parameters; state: OptimizerState | null } | null> {
  if (from === undefined) return null;
  if (typeof from === 'string') return loadCheckpoint(from, config);
  const { path, version, epoch } = from;
  const parameters = await new WeightReader().read(from);
  return { parameters, state: version > 0 ? await OptimizerStore.beside(path).load(version, epoch) : null };
}
