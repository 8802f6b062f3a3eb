import { workerData } from 'node:worker_threads';
import type { Completion, Episode, Sample, Sampling, WeightsAnnouncement } from '@forge/contracts';
import type { Recipe } from '@forge/config';
import { createEngine, serveWorker } from '@forge/engine';
import { Generator, loadModel, LogprobScorer, type GeneratorStats, type LoadedModel } from '@forge/model';
import { WeightStore, type Parameters } from '@forge/weights';
import { logprobMismatch, soleVersion } from './domain/logprob-mismatch';

/** Below this size, swapping sessions for new weights costs more than passing the weights in at every run. */
const INPUT_PARAMETERS = 4_000_000;

/** The generator, in a thread of its own: it blocks while it computes. */
const { recipe, weightsDir } = workerData as { recipe: Recipe; weightsDir: string };
const store = new WeightStore({ dir: weightsDir, keep: 1 });
const model: Promise<LoadedModel> = loadModel(recipe.model);
let generator: Promise<Generator> | null = null;
/** The parameters of the two newest versions: what is done generating may be one version behind. */
const recent = new Map<number, Parameters>();
let scorer: Promise<LogprobScorer> | null = null;

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

/** The training graph's forward pass, which takes the weights of any version. */
async function createScorer(parameters: Parameters): Promise<LogprobScorer> {
  const { config } = await model;
  return LogprobScorer.create({
    engine: createEngine({ threads: recipe.policy.threads, provider: 'cpu' }),
    config,
    parameters,
    weights: 'inputs',
    temperature: recipe.sampling.temperature || 1,
    maxBatchTokens: recipe.trainer.microBatchTokens,
    logitsChunk: recipe.trainer.logitsChunk,
  });
}

/** The store reuses its buffers; the generator keeps what it is given. */
function copied(parameters: Parameters): Parameters {
  return new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
}

const api = {
  /** Takes the announced weights; from the next chunk on they are used. */
  setWeights: async (announcement: WeightsAnnouncement): Promise<void> => {
    const { version } = announcement;
    const parameters = copied(await store.read(announcement));
    recent.set(version, parameters);
    for (const old of [...recent.keys()].slice(0, -2)) recent.delete(old);
    if (generator === null) {
      generator = create(version, parameters);
      await generator;
    } else await (await generator).setWeights(version, parameters);
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

  /**
   * How far the log-probs recorded at generation are from what the training graph gives under the same weights; null
   * when several versions took part, or one that is gone by now.
   */
  mismatch: async (episode: Episode): Promise<number | null> => {
    const parameters = recent.get(soleVersion(episode) ?? -1);
    if (parameters === undefined) return null;
    scorer ??= createScorer(parameters);
    const [scored] = await (await scorer).score([episode.tokenIds], parameters);
    return logprobMismatch(episode, scored!);
  },

  /** Tokens generated and time spent on it since the start. */
  stats: async (): Promise<Pick<GeneratorStats, 'tokens' | 'busyMs'>> =>
    generator === null ? { tokens: 0, busyMs: 0 } : (await generator).stats(),

  close: async (): Promise<void> => {
    await (await generator)?.close();
    await (await scorer)?.release();
  },
};

export type GeneratorApi = typeof api;

serveWorker(api);
