export { type ModelConfig } from './transformer/model-config';
export { type RopeScaling } from './transformer/rope-scaling';
export { engineFor, type AskedEngine } from './engine-for';
export { modelFolder, type ModelFolder } from './hugging-face/model-folder';
export { loadTokenizer, readModelConfig } from './hugging-face/read-model-config';
export { modelFingerprint } from './hugging-face/model-fingerprint';
export { parameterCount, parameterShapes } from './transformer/parameter-shapes';
export { initializeParameters } from './hugging-face/initialize';
export { createTokenizer, type Tokenizer, type TokenizerOptions } from './hugging-face/tokenizer';
export { unappliedSettings } from './hugging-face/generation-settings';
export { tokenTexts } from './hugging-face/token-texts';
export { createModel, loadModel, saveModel, type LoadedModel } from './hugging-face/hugging-face';
export { Generator, type GeneratorOptions, type GeneratorStats } from './generation/generator';
export { type ChunkMark } from './generation/chunk-marks';
export { type GenerateRequest } from './generation/sequence';
export { type WeightMode } from './generation/weight-source';
export { LogprobScorer, type LogprobScorerOptions } from './generation/logprob-scorer';
export {
  TrainStep,
  type OptimizerOptions,
  type StepLimits,
  type StepResult,
  type TrainStepOptions,
} from './training/train-step';
export { type OptimizerState } from './training/adamw';
export { type TrainEpisode } from './training/micro-batches';
export { supervisedEpisode, supervisedLoss } from './training/supervised';
