import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import type { Recipe } from '@forge/config';
import type { Batch, WeightsAnnouncement } from '@forge/contracts';
import { createEngine, serveWorker } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { loadModel, saveModel, TrainStep, type LoadedModel, type StepResult } from '@forge/model';
import { loadAlgorithm } from '@forge/service-kit';
import { WeightStore, type Parameters } from '@forge/weights';
import { checkLag, type LagStatistics } from './domain/lag';
import { decodeGroups, trainEpisodes } from './domain/train-episodes';
import { OptimizerStore } from './optimizer-store';

export interface TrainWorkerData {
  recipe: Recipe;
  /** Directory of the run. */
  runDir: string;
  epoch: number;
  /** The committed version to go on from; null at the start of a run. */
  resumeFrom: WeightsAnnouncement | null;
}

/** Weight versions kept on disk: the one in use, and those a slow reader may be on its way to. */
const KEPT_VERSIONS = 4;
const KEPT_CHECKPOINTS = 2;

/** The model being trained. Lives in a thread of its own: a step blocks the thread it runs on. */
class Training {
  private constructor(
    private readonly data: TrainWorkerData,
    private readonly model: LoadedModel,
    private readonly step: TrainStep,
    private readonly weights: WeightStore,
    private readonly optimizer: OptimizerStore,
  ) {}

  static async open(data: TrainWorkerData): Promise<Training> {
    const { recipe, runDir, resumeFrom } = data;
    const { trainer } = recipe;
    const weightsDir = join(runDir, 'weights');
    const weights = new WeightStore({ dir: weightsDir, keep: KEPT_VERSIONS });
    const optimizer = new OptimizerStore(weightsDir);
    const model = await loadModel(recipe.model);
    const step = await TrainStep.create({
      engine: createEngine({ threads: trainer.threads, provider: 'cpu' }),
      config: model.config,
      parameters: resumeFrom ? await weights.read(resumeFrom) : model.parameters,
      loss: (await loadAlgorithm(recipe)).loss,
      temperature: recipe.sampling.temperature || 1,
      optimizer: { ...trainer, totalSteps: recipe.steps },
      microBatchTokens: trainer.microBatchTokens,
      logitsChunk: trainer.logitsChunk,
      recompute: trainer.recompute,
    });
    if (resumeFrom && resumeFrom.version > 0) {
      step.restore(await optimizer.load(resumeFrom.version, resumeFrom.epoch));
    }
    return new Training(data, model, step, weights, optimizer);
  }

  /** One step on a batch; the lag of every token is checked before the gradient. */
  async train(
    batch: Batch,
    payloads: readonly Uint8Array[],
  ): Promise<{ result: StepResult; lag: LagStatistics }> {
    const version = this.step.stepNumber;
    if (batch.step !== version) {
      throw new ForgeError('BUG_INVARIANT', `batch ${batch.step} came to version ${version} of the policy`, {
        step: batch.step,
        version,
      });
    }
    const groups = decodeGroups(batch, payloads);
    const lag = checkLag(version, groups, this.data.recipe.maxStaleness);
    return { result: await this.step.step(trainEpisodes(batch, groups)), lag };
  }

  /** Writes the current version, ready to be committed; older ones that nobody needs any more are deleted. */
  async publish(): Promise<WeightsAnnouncement> {
    const { epoch } = this.data;
    const version = this.step.stepNumber;
    const announcement = await this.weights.publish(version, epoch, this.step.parameters());
    await this.optimizer.save(version, epoch, this.step.state());
    // The version before stays: until the commit it is the one a crash goes back to.
    await this.weights.collect();
    await this.optimizer.collect(version - 1);
    return announcement;
  }

  /** Writes the current version as a model in Hugging Face layout to a directory of the run. */
  async save(name: string): Promise<void> {
    const { config, files } = this.model;
    const parameters: Parameters = this.step.parameters();
    await saveModel(join(this.data.runDir, name), { config, files, parameters }, this.data.recipe.trainer);
  }

  /** A checkpoint people can go back to: the model, and the optimizer's state beside it. Older ones make room. */
  async checkpoint(): Promise<void> {
    const name = (version: number) => join('checkpoints', `step-${version}`);
    const { runDir, epoch, recipe } = this.data;
    const version = this.step.stepNumber;
    await this.save(name(version));
    await new OptimizerStore(join(runDir, name(version))).save(version, epoch, this.step.state());
    const oldest = version - KEPT_CHECKPOINTS * recipe.trainer.checkpointEverySteps;
    await rm(join(runDir, name(oldest)), { recursive: true, force: true });
  }
}

const training = Training.open(workerData as TrainWorkerData);

const api = {
  /** Resolves once the model is ready to train. */
  opened: async (): Promise<void> => {
    await training;
  },
  train: async ({ batch, payloads }: { batch: Batch; payloads: readonly Uint8Array[] }) =>
    (await training).train(batch, payloads),
  publish: async () => (await training).publish(),
  save: async (name: string) => (await training).save(name),
  checkpoint: async () => (await training).checkpoint(),
};

export type TrainApi = typeof api;

serveWorker(api);
