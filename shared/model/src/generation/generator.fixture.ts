import { samplingSchema, type Sampling } from '@forge/contracts';
import { createEngine, type Engine, type AnyTensor } from '@forge/engine';
import { Generator, type GeneratorOptions } from './generator';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';

export const engine = createEngine({ threads: 1 });

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

/** An engine that shows every run's inputs, and makes programs wait. */
export function watchedEngine(watch: {
  onRun?: (feeds: Readonly<Record<string, AnyTensor>>) => void;
  beforeProgram?: () => Promise<void>;
}): Engine {
  return {
    ...{ options: engine.options, memory: engine.memory },
    put: (tensor) => engine.put(tensor),
    compile: async (outputs, options) => {
      await watch.beforeProgram?.();
      const program = await engine.compile(outputs, options);
      return {
        inputNames: program.inputNames,
        outputNames: program.outputNames,
        run: (feeds, how) => {
          watch.onRun?.(feeds);
          return program.run(feeds, how);
        },
        release: () => program.release(),
      };
    },
  };
}
