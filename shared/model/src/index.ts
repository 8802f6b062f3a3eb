export { type Head, type ModelConfig } from './transformer/model-config';
export { type RopeScaling } from './transformer/rope-scaling';
export { engineFor, type AskedEngine } from './engine-for';
export { modelFolder, type ModelFolder } from './hugging-face/model-folder';
export {
  describeModel,
  loadModelTokenizer,
  loadTokenizer,
  readModelConfig,
  type ModelDescription,
} from './hugging-face/read-model-config';
export { modelFingerprint } from './hugging-face/model-fingerprint';
export { parameterCount, parameterShapes } from './transformer/parameter-shapes';
export { initializeParameters } from './hugging-face/initialize';
export { createTokenizer, type Tokenizer, type TokenizerOptions } from './hugging-face/tokenizer';
export { unappliedSettings } from './hugging-face/generation-settings';
export { tokenizerDifference } from './hugging-face/tokenizer-difference';
export { tokenTexts } from './hugging-face/token-texts';
export { createModel, loadModel, saveModel, type LoadedModel } from './hugging-face/hugging-face';
export { adapterConfig, isAdapter, readAdapter, saveAdapter } from './hugging-face/adapter-folder';
export { bridgeChat } from './chat/bridge-chat';
export { parseAnswer, type ParsedAnswer } from './chat/parse-answer';
export { renderChat } from './chat/render-chat';
export { settledAnswer, settledText } from './chat/settled-answer';
export { BLOCK_TOKENS } from './kv-cache/cache-block';
export { type PrefillCounts } from './generation/decoder';
export { Generator, type GeneratorOptions, type GeneratorStats } from './generation/generator';
export { type ChunkMark } from './generation/chunk-marks';
export { Sequence, type GenerateRequest, type Growth, type SequenceRules } from './generation/sequence';
export { type FrozenBase, type WeightMode } from './adapter/weight-source';
export {
  adapterParameterCount,
  adapterScale,
  adapterShapes,
  type AdapterShape,
} from './adapter/adapter-factors';
export { initializeAdapter } from './adapter/initialize-adapter';
export { canaryTokens, canaryTolerance, checkCanary } from './generation/canary';
export { mergeAdapter } from './adapter/merge-adapter';
export { LogprobScorer, type LogprobScorerOptions } from './generation/logprob-scorer';
export {
  ConversationScorer,
  conversationTokens,
  type Conversation,
  type Truncation,
} from './scoring/conversation-scorer';
export { TrainStep, type TrainStepOptions } from './training/train-step';
export { valueParameterCount } from './training/value-graph';
export { type StepResult } from './training/step-result';
export { type OptimizerOptions } from './training/optimizer';
export { type StepLimits } from './training/step-limits';
export { type OptimizerState } from './training/adamw';
export { type TrainEpisode } from './training/micro-batches';
export { supervisedEpisode, supervisedLoss } from './training/supervised';
