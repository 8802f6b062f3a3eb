import { rm } from 'node:fs/promises';
import { workerData } from 'node:worker_threads';
import { decode, groupSchema, type Batch, type WeightsAnnouncement } from '@forge/contracts';
import type { Recipe } from '@forge/config';
import { createEngine, serveWorker } from '@forge/engine';
import { loadModel, saveModel, TrainStep, type StepResult } from '@forge/model';
import { loadAlgorithm } from '@forge/service-kit';
import { WeightStore } from '@forge/weights';
import { checkLag, type LagStatistics } from './domain/lag';

/** Weight versions kept on disk: the one in use, and those a slow reader may be on its way to. */
const KEPT_VERSIONS = 4;

/** The train step, in a thread of its own: it blocks while it computes. */
const { recipe, weightsDir } = workerData as { recipe: Recipe; weightsDir: string };
const store = new WeightStore({ dir: weightsDir, keep: KEPT_VERSIONS });
const model = loadModel(recipe.model);
const training = create();

async function create(): Promise<TrainStep> {
  const { trainer, sampling, steps } = recipe;
  const { config, parameters } = await model;
  const { loss } = await loadAlgorithm(recipe);
  return TrainStep.create({
    engine: createEngine({ threads: trainer.threads, provider: 'cpu' }),
    config,
    parameters,
    loss,
    temperature: sampling.temperature || 1,
    logitsChunk: trainer.logitsChunk,
    recompute: trainer.recompute,
    microBatchTokens: trainer.microBatchTokens,
    optimizer: { ...trainer, totalSteps: steps },
  });
}

export interface TrainedStep {
  result: StepResult;
  lag: LagStatistics;
}

const api = {
  /** Writes the blob of the current parameters. */
  publish: async ({ version, epoch }: { version: number; epoch: number }): Promise<WeightsAnnouncement> => {
    const announcement = await store.publish(version, epoch, (await training).parameters());
    await store.collect();
    return announcement;
  },

  /** One optimizer step on a batch; `payloads` are its encoded groups in the batch's order. */
  step: async ({ batch, payloads }: { batch: Batch; payloads: Uint8Array[] }): Promise<TrainedStep> => {
    const groups = payloads.map((payload, i) => decode(groupSchema, payload, `group ${batch.groups[i]?.index}`));
    const lag = checkLag(batch.step, groups, recipe.maxStaleness);
    const episodes = groups.flatMap(({ episodes: members }, i) =>
      members.map((episode, k) => ({ ...episode, advantage: batch.groups[i]!.advantages[k]! })),
    );
    return { result: await (await training).step(episodes), lag };
  },

  /** Saves the model in Hugging Face layout. */
  save: async ({ dir }: { dir: string }): Promise<void> => {
    const { config, files } = await model;
    const parameters = (await training).parameters();
    await saveModel(dir, { config, files, parameters }, { dtype: recipe.trainer.dtype });
  },

  remove: async ({ dir }: { dir: string }): Promise<void> => {
    await rm(dir, { recursive: true, force: true });
  },
};

export type TrainApi = typeof api;

serveWorker(api);
