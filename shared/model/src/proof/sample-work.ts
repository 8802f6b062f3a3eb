import { readTensors } from '@forge/weights';
import { samplingSchema } from '@forge/contracts';
import type { Engine } from '@forge/engine';
import { grpoLoss } from '@forge/rl';
import { Generator } from '../generation/generator';
import { LogprobScorer } from '../generation/logprob-scorer';
import { initializeParameters } from '../hugging-face/initialize';
import type { TrainEpisode } from '../training/micro-batches';
import { TrainStep } from '../training/train-step';
import type { ModelConfig } from '../transformer/model-config';

/** As small as it can be with every feature that has ops of its own. */
const CONFIG: ModelConfig = {
  architecture: 'qwen3',
  hiddenSize: 8,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  intermediateSize: 8,
  vocabSize: 11,
  maxPositions: 16,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 100, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: true,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: true,
  initializerRange: 0.3,
};

/** Numbers of a result, in a fixed order. */
export type Results = Record<string, readonly number[]>;

/** Results of a train step, some tokens of generation and some scores: the same on any engine that computes rightly. */
export async function sampleWork(engine: Engine): Promise<Results> {
  return { ...(await trained(engine)), ...(await generated(engine)), ...(await scored(engine)) };
}

async function trained(engine: Engine): Promise<Results> {
  const step = await TrainStep.create({
    engine,
    config: CONFIG,
    parameters: initializeParameters(CONFIG, 1),
    loss: grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0.1 }),
    temperature: 0.9,
    // An update is a smooth function of the gradient and as large: an error of the one shows in the other.
    optimizer: {
      learningRate: 1,
      schedule: 'constant',
      warmupSteps: 0,
      totalSteps: 1,
      betas: [0.9, 0.95],
      epsilon: 1,
      weightDecay: 0,
      maxGradientNorm: 10,
    },
    microBatchTokens: 64,
    logitsChunk: 4,
    recompute: false,
  });
  try {
    const { loss, gradientNorm } = await step.step(EPISODES);
    const parameters = [...(await readTensors(step.parameters()))].map(([name, { data }]) => [
      `update of ${name}`,
      [...data],
    ]);
    return { loss: [loss], 'gradient norm': [gradientNorm], ...Object.fromEntries(parameters) };
  } finally {
    await step.close();
  }
}

/** The fourth token repeats one of its row, and rows differ in length. */
const EPISODES: readonly TrainEpisode[] = [
  [1, 7, 3, 7, 5],
  [2, 9, 4, 10],
].map((tokenIds, row) => ({
  tokenIds,
  mask: tokenIds.map((_, t) => (t < 2 ? 0 : 1)),
  logprobs: tokenIds.map((_, t) => (t < 2 ? 0 : -2 - 0.1 * t)),
  referenceLogprobs: tokenIds.map((_, t) => (t < 2 ? 0 : -2.2 + 0.1 * t)),
  versions: tokenIds.map((_, t) => (t < 2 ? -1 : 0)),
  advantage: row === 0 ? 1 : -0.5,
}));

async function generated(engine: Engine): Promise<Results> {
  const generator = await Generator.create({
    engine,
    config: CONFIG,
    parameters: initializeParameters(CONFIG, 1),
    version: 0,
    endTokenIds: [],
    maxBatch: 4,
    chunk: 2,
    weightMode: 'initializers',
    decodeText: String,
  });
  try {
    const ask = (rolloutId: string, promptTokenIds: number[], temperature: number) =>
      generator.generate({
        rolloutIds: [rolloutId],
        promptTokenIds,
        seed: 1,
        sampling: samplingSchema.parse({ maxTokens: 4, temperature, topK: 6, topP: 0.9 }),
      });
    const completions = (await Promise.all([ask('a', [1, 7, 3], 1), ask('b', [2, 9], 0)])).flat();
    return {
      'generated tokens': completions.flatMap(({ tokenIds }) => tokenIds),
      'log-probs of generated tokens': completions.flatMap(({ logprobs }) => logprobs),
    };
  } finally {
    await generator.close();
  }
}

async function scored(engine: Engine): Promise<Results> {
  const scorer = await LogprobScorer.create({
    engine,
    config: CONFIG,
    parameters: initializeParameters(CONFIG, 1),
    logitsChunk: 4,
    maxBatchTokens: 64,
  });
  try {
    return {
      'log-probs of given tokens': (await scorer.score(EPISODES.map(({ tokenIds }) => tokenIds))).flat(),
    };
  } finally {
    await scorer.release();
  }
}
