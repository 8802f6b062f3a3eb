export { type ModelConfig } from './model-config';
export { type RopeScaling } from './rope-scaling';
export { modelFingerprint } from './model-fingerprint';
export { parameterShapes } from './parameter-shapes';
export { initializeParameters } from './initialize';
export { type Tokenizer } from './tokenizer';
export { tokenTexts } from './token-texts';
export { createModel, loadModel, saveModel, type LoadedModel } from './hugging-face';
export { Generator, type GeneratorOptions, type GeneratorStats } from './generator';
export { type ChunkMark } from './chunk-marks';
export { type GenerateRequest } from './sequence';
export { type WeightMode } from './weight-source';
export { LogprobScorer, type LogprobScorerOptions } from './logprob-scorer';
export {
  TrainStep,
  type OptimizerOptions,
  type StepLimits,
  type StepResult,
  type TrainStepOptions,
} from './train-step';
export { type OptimizerState } from './adamw';
export { type TrainEpisode } from './micro-batches';
export { supervisedEpisode, supervisedLoss } from './supervised';
