import { samplingSchema, type Sampling } from '@forge/contracts';
import { createEngine, type Engine, type HostTensor } from '@forge/engine';
import { Generator, type GeneratorOptions } from './generator';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';

export const engine = createEngine({ threads: 1, provider: 'cpu' });

export const tiny: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 16,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  intermediateSize: 32,
  vocabSize: 11,
  maxPositions: 64,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.3,
};

/** Twelve tokens unless they are to be more or fewer. */
export const sampling = (overrides: Partial<Sampling> = {}): Sampling =>
  samplingSchema.parse({ maxTokens: 12, ...overrides });

export const letters = (ids: readonly number[]): string => ids.map((id) => 'abcdefghijk'[id]).join('');

/** With random weights; texts have a letter for each token. */
export async function generatorOf(overrides: Partial<GeneratorOptions> = {}): Promise<Generator> {
  const config = overrides.config ?? tiny;
  return Generator.create({
    engine,
    config,
    parameters: initializeParameters(config, 1),
    version: 0,
    endTokenIds: [],
    maxBatch: 64,
    chunk: 4,
    weightMode: 'initializers',
    decodeText: letters,
    ...overrides,
  });
}

/** An engine that shows every run's inputs, and makes sessions wait. */
export function watchedEngine(watch: {
  onRun?: (feeds: Readonly<Record<string, HostTensor>>) => void;
  beforeSession?: () => Promise<void>;
}): Engine {
  return {
    options: engine.options,
    createSession: async (onnx) => {
      await watch.beforeSession?.();
      const session = await engine.createSession(onnx);
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        run: (feeds) => {
          watch.onRun?.(feeds);
          return session.run(feeds);
        },
        release: () => session.release(),
      };
    },
  };
}
