import { workerData } from 'node:worker_threads';
import type { Recipe } from '@forge/config';
import { createEngine, serveWorker } from '@forge/engine';
import { loadModel, LogprobScorer } from '@forge/model';

/** The frozen reference model, in a thread of its own. */
const { recipe } = workerData as { recipe: Recipe };
const scorer = loadModel(recipe.model).then(({ config, parameters }) =>
  LogprobScorer.create({
    engine: createEngine({ threads: recipe.reference.threads, provider: 'cpu' }),
    config,
    parameters,
    temperature: recipe.sampling.temperature || 1,
    maxBatchTokens: recipe.reference.maxBatchTokens,
    logitsChunk: recipe.trainer.logitsChunk,
  }),
);

const api = {
  load: async (): Promise<void> => {
    await scorer;
  },
  score: async (groups: number[][][]): Promise<number[][][]> => {
    const logprobs: number[][][] = [];
    for (const sequences of groups) logprobs.push(await (await scorer).score(sequences));
    return logprobs;
  },
};

export type ReferenceApi = typeof api;

serveWorker(api);
