import { createEngine, type Engine } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { grpoLoss } from '@forge/rl';
import { readTensors, type Parameters } from '@forge/weights';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';
import type { TrainEpisode } from './micro-batches';
import { TrainStep, type TrainStepOptions } from './train-step';

/** Every feature that has parameters or a gradient of its own: shared heads, norms of heads, biases, a tied head. */
export const config: ModelConfig = {
  architecture: 'qwen3',
  hiddenSize: 8,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  intermediateSize: 12,
  vocabSize: 11,
  maxPositions: 32,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 100, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: true,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: true,
  initializerRange: 0.3,
};

/** Fixed pseudo-random numbers in [0, 1). */
export const noise = (i: number, seed: number): number => ((i + 1) * 0.6180339887 + seed * 0.7548776662) % 1;

export function parametersOf(model: ModelConfig, seed: number): Parameters {
  const parameters = initializeParameters(model, seed);
  // Norms and biases start at one and zero: moved, so that their gradients are of no special case.
  for (const { shape, data } of parameters.values()) {
    if (shape.length === 1) data.forEach((value, i) => (data[i] = value + 0.2 * (noise(i, seed) - 0.5)));
  }
  return parameters;
}

/** Episodes of `lengths` tokens, all but the first two trained. */
export function episodesOf(lengths: readonly number[], version = 0): TrainEpisode[] {
  return lengths.map((length, row) => {
    const mask = Array.from({ length }, (_, t): 0 | 1 => (t < 2 ? 0 : 1));
    return {
      tokenIds: mask.map((_, t) => Math.floor(noise(t, row) * config.vocabSize)),
      mask,
      logprobs: mask.map((m, t) => -2.4 * m * (0.8 + 0.4 * noise(t, row + 50))),
      referenceLogprobs: mask.map((m, t) => -2.4 * m * (0.8 + 0.4 * noise(t, row + 90))),
      versions: mask.map((m) => (m ? version : -1)),
      advantage: 2 * noise(row, 3) - 1,
    };
  });
}

export const engine = createEngine({ threads: 2 });
/** The loss of the steps, with every term that it can have. */
export const loss = grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0.1 });
export const optimizer = {
  learningRate: 0.01,
  schedule: 'constant',
  warmupSteps: 0,
  totalSteps: 10,
  betas: [0.9, 0.95],
  // Far above the default, so that an update is a smooth function of the gradient and rounding stays rounding.
  epsilon: 1e-2,
  weightDecay: 0.1,
  maxGradientNorm: 1,
} as const;

/** The same engine, with parameters, gradients and moments as tensors of its own. */
export const deviceEngine: Engine = {
  ...{ options: engine.options, memory: 'device' },
  compile: (outputs, options) => engine.compile(outputs, options),
  put: (tensor) => engine.put(tensor),
};

/** The engine, with memory for so many padded tokens of a train step at once. */
export function holding(tokensAtMost: number, engine: Engine): Engine {
  return {
    ...{ options: engine.options, memory: engine.memory },
    put: (tensor) => engine.put(tensor),
    compile: async (outputs, options) => {
      const program = await engine.compile(outputs, options);
      const run: typeof program.run = (feeds, options) => {
        const [rows = 0, width = 0] = feeds['tokens']?.shape ?? [];
        if (rows * width <= tokensAtMost) return program.run(feeds, options);
        return Promise.reject(new ForgeError('CAPACITY_DEVICE_MEMORY', 'the device is out of memory', {}));
      };
      const { inputNames, outputNames } = program;
      return { inputNames, outputNames, run, release: () => program.release() };
    },
  };
}

export async function trainStep(changes: Partial<TrainStepOptions> = {}): Promise<TrainStep> {
  return TrainStep.create({
    engine,
    config,
    parameters: parametersOf(config, 1),
    loss,
    temperature: 0.9,
    optimizer,
    microBatchTokens: 1000,
    logitsChunk: 8,
    recompute: false,
    ...changes,
  });
}

/** All that training goes on with, its values read. */
export async function stored(step: TrainStep) {
  const { firstMoments, secondMoments, ...counts } = step.state();
  const state = {
    ...counts,
    firstMoments: await readTensors(firstMoments),
    secondMoments: await readTensors(secondMoments),
  };
  return { parameters: await readTensors(step.parameters()), state };
}

export const largestDifference = (a: Parameters, b: Parameters): number =>
  Math.max(
    ...[...a].flatMap(([name, { data }]) => [...data].map((x, i) => Math.abs(x - b.get(name)!.data[i]!))),
  );
