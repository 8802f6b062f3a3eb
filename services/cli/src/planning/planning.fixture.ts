import { loadRecipe, type Recipe } from '@forge/config';
import type { ModelConfig } from '@forge/model';
import type { RunModels } from './memory-plan';
import { recipeDirs } from '../recipe-dirs';

/** The main job's recipe as it is run by onnxruntime, with overrides. */
export function recipeWith(...overrides: string[]): Recipe {
  const engines = ['trainer.engine=onnx', 'policy.engine=onnx', 'reference.engine=onnx'];
  const recipe = loadRecipe('arithmetic-grpo', [...engines, ...overrides], { searchDirs: recipeDirs() });
  const hasReference = overrides.some((one) => one.startsWith('algorithm.klCoefficient'));
  return { ...recipe, reference: { ...recipe.reference, replicas: hasReference ? 1 : 0 } };
}

/** 29.9 M parameters. */
export const midConfig: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 512,
  layers: 8,
  heads: 8,
  kvHeads: 8,
  headDim: 64,
  intermediateSize: 1408,
  vocabSize: 8192,
  maxPositions: 2048,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.02,
};

/** Models of a run whose reference is the model itself. */
export const midModels: RunModels = { config: midConfig, reference: midConfig };

/** The shape of models/arithmetic. */
export const smallConfig: ModelConfig = {
  ...midConfig,
  hiddenSize: 128,
  layers: 3,
  heads: 4,
  kvHeads: 4,
  headDim: 32,
  intermediateSize: 256,
  vocabSize: 18,
  maxPositions: 64,
};
