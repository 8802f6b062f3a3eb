import { workerData } from 'node:worker_threads';
import type { Completion, Sample, Sampling, WeightsAnnouncement } from '@forge/contracts';
import type { Recipe } from '@forge/config';
import { createEngine, serveWorker } from '@forge/engine';
import { Generator, loadModel, type GeneratorStats, type LoadedModel } from '@forge/model';
import { WeightStore, type Parameters } from '@forge/weights';

/** Below this size, swapping sessions for new weights costs more than passing the weights in at every run. */
const INPUT_PARAMETERS = 4_000_000;

/** The generator, in a thread of its own: it blocks while it computes. */
const { recipe, weightsDir } = workerData as { recipe: Recipe; weightsDir: string };
const store = new WeightStore({ dir: weightsDir, keep: 1 });
const model: Promise<LoadedModel> = loadModel(recipe.model);
let generator: Promise<Generator> | null = null;

async function create(version: number, parameters: Parameters): Promise<Generator> {
  const { config, tokenizer } = await model;
  const { policy } = recipe;
  const size = [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0);
  return Generator.create({
    engine: createEngine({ threads: policy.threads, provider: 'cpu' }),
    config,
    parameters,
    version,
    endTokenIds: tokenizer.endTokenIds,
    maxBatch: policy.maxBatch,
    chunk: policy.chunk,
    weights:
      policy.weights === 'auto'
        ? size < INPUT_PARAMETERS && policy.threads === 1
          ? 'inputs'
          : 'initializers'
        : policy.weights,
    refreshCache: policy.refreshCache,
    decodeText: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
  });
}

/** The store reuses its buffers; the generator keeps what it is given. */
function copied(parameters: Parameters): Parameters {
  return new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
}

const api = {
  /** Takes the announced weights; from the next chunk on they are used. */
  setWeights: async (announcement: WeightsAnnouncement): Promise<void> => {
    const parameters = copied(await store.read(announcement));
    if (generator === null) {
      generator = create(announcement.version, parameters);
      await generator;
    } else await (await generator).setWeights(announcement.version, parameters);
  },

  generate: async (request: {
    prompt: Sample['prompt'];
    rolloutIds: string[];
    sampling: Sampling;
  }): Promise<Completion[]> => {
    const { tokenizer } = await model;
    const { tokenIds } = tokenizer.renderPrompt(request.prompt);
    const { rolloutIds, sampling } = request;
    return (await generator!).generate({ promptTokenIds: tokenIds, rolloutIds, sampling, seed: recipe.seed });
  },

  /** Tokens generated and time spent on it since the start. */
  stats: async (): Promise<Pick<GeneratorStats, 'tokens' | 'busyMs'>> =>
    generator === null ? { tokens: 0, busyMs: 0 } : (await generator).stats(),

  close: async (): Promise<void> => {
    await (await generator)?.close();
  },
};

export type GeneratorApi = typeof api;

serveWorker(api);
