import { rewardModelOf, usesCritic, usesReference, type Recipe } from '@forge/config';
import {
  adapterParameterCount,
  BLOCK_TOKENS,
  conversationTokens,
  parameterCount,
  valueParameterCount,
  type ModelConfig,
} from '@forge/model';
import { rolloutPlan } from './rollout-plan';

/** Bytes by the part that takes them. */
export type Parts = Readonly<Record<string, number>>;

/** The shapes of a run's models; `reference` is the model itself unless the recipe names another one. */
export interface RunModels {
  config: ModelConfig;
  reference: ModelConfig;
  rewardModel?: ModelConfig | undefined;
}

/** Memory of a service at its peak. */
export interface ServicePlan {
  service: 'trainer' | 'policy' | 'reference' | 'reward' | 'gateway' | 'others';
  /** How many processes it has. */
  replicas: number;
  parts: Parts;
  /** Bytes of one process. */
  bytes: number;
}

const FLOAT_BYTES = 4;
const MIB = 2 ** 20;
/** A process with its threads and its engine's library, before a model is loaded; measured. */
const PROCESS_BYTES = { onnx: 160 * MIB, tensorflow: 464 * MIB } as const;
/** The service that looks after a trainer in PyTorch; PyTorch in each rank, and in torchrun where there are several; measured. */
const TORCH_BYTES = { service: 110 * MIB, each: 530 * MIB } as const;
/** Coordinator, replay buffer and reward, and the Redis process itself; measured. */
const OTHER_PROCESSES_BYTES = 450 * MIB;
/** A gateway, which keeps nothing but the calls under way; measured. */
const GATEWAY_BYTES = 125 * MIB;
/** Moments of a parameter. */
const MOMENTS = 2;
/** A policy in front of a server: a process with two threads and a tokenizer. */
const SERVED_BYTES = 140 * MIB;
/** Copies of the logits of a chunk: logits, probabilities and their gradient. */
const LOGITS_COPIES = 3;
/** Gradients of the LM head: the loop's state, its next value, and that of the embedding. */
const HEAD_COPIES = 3;
/** Attention weights that are kept by head and pair of tokens; the scores die early. Measured. */
const ATTENTION_COPIES = 1.25;
/** A layer that is recomputed exists with its gradients. */
const RECOMPUTED_COPIES = 2;
/** Copies of the caches: by sequence, as the batch that goes in, and as the engine works on it. */
const CACHE_COPIES = 3;

/**
 * Values that a layer keeps of one token of a sequence of `length` for the backward pass. TensorFlow computes cheap ones
 * again.
 */
function layerValues(config: ModelConfig, length: number, engine: 'onnx' | 'tensorflow'): number {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  if (engine === 'tensorflow')
    return 2 * (hiddenSize + heads * headDim + kvHeads * headDim + intermediateSize) + heads * length;
  const projections = 4 * hiddenSize + 3 * heads * headDim + 3 * kvHeads * headDim + 4 * intermediateSize;
  return projections + ATTENTION_COPIES * heads * length;
}

const total = (parts: Parts): number => Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);

const engineOf = ({ engine }: { engine: string }): 'onnx' | 'tensorflow' =>
  engine === 'tensorflow' ? 'tensorflow' : 'onnx';

/** Tokens of the longest episode that can come. */
export function longestEpisode(
  recipe: Pick<Recipe, 'sampling' | 'rollout'>,
  config: ModelConfig,
  promptTokens: number,
): number {
  return rolloutPlan(recipe, config, promptTokens).contextTokens;
}

/**
 * The peak memory of every service of a run, by part. Weights, gradients and activations are float32 whatever the files
 * hold.
 */
export function memoryPlan(
  recipe: Recipe,
  { config, reference, rewardModel }: RunModels,
  promptTokens: number,
): ServicePlan[] {
  const plans = [trainerPlan(recipe, config, promptTokens), policyPlan(recipe, config, promptTokens)];
  if (usesReference(recipe)) plans.push(referencePlan(recipe, reference, promptTokens));
  if (rewardModel !== undefined) plans.push(rewardPlan(recipe, rewardModel, promptTokens));
  const { replicas } = recipe.gateway;
  if (replicas > 0)
    plans.push({ service: 'gateway', replicas, parts: { process: GATEWAY_BYTES }, bytes: GATEWAY_BYTES });
  plans.push({
    service: 'others',
    replicas: 1,
    parts: { process: OTHER_PROCESSES_BYTES },
    bytes: OTHER_PROCESSES_BYTES,
  });
  return plans;
}

/** Bytes of the parameters that are trained: an adapter's, or all. */
export function trainedCount({ adapter }: Pick<Recipe, 'adapter'>, config: ModelConfig): number {
  return adapter === undefined ? parameterCount(config) : adapterParameterCount(config, adapter);
}

function torchBytes({ processes }: Recipe['trainer']['torch']): number {
  return TORCH_BYTES.service + (processes > 1 ? processes + 1 : 1) * TORCH_BYTES.each;
}

function trainerPlan(recipe: Recipe, config: ModelConfig, promptTokens: number): ServicePlan {
  const { trainer, batch, algorithm } = recipe;
  const weights = FLOAT_BYTES * parameterCount(config);
  const trained = FLOAT_BYTES * trainedCount(recipe, config);
  const isAdapter = recipe.adapter !== undefined;
  const length = longestEpisode(recipe, config, promptTokens);
  const inBatch = batch.groups * algorithm.groupSize * length;
  const tokens = Math.min(Math.max(trainer.microBatchTokens, length), inBatch);
  const layer = tokens * layerValues(config, length, engineOf(trainer)) * FLOAT_BYTES;
  const hidden = tokens * config.hiddenSize * FLOAT_BYTES;
  const activations = trainer.recompute
    ? config.layers * hidden + RECOMPUTED_COPIES * layer
    : config.layers * layer;
  const inTorch = trainer.engine === 'torch';
  // Ranks share the weights, and each has a micro-batch of its own under way.
  const ranks = inTorch ? trainer.torch.processes : 1;
  const isOnnx = !inTorch && engineOf(trainer) === 'onnx';
  // Gradients of a micro-batch, which onnxruntime gives to the host as a copy, and the sum over several.
  const gradients = (isOnnx ? 2 : 1) + (inBatch > tokens ? 1 : 0);
  // State that a step of several updates goes back to when one of them fails.
  const held = algorithm.updatesPerBatch * algorithm.minibatches > 1 ? 1 + MOMENTS : 0;
  const values = usesCritic(recipe) ? FLOAT_BYTES * valueParameterCount(config) : 0;
  const parts = {
    process: inTorch ? torchBytes(trainer.torch) : PROCESS_BYTES[engineOf(trainer)],
    weights,
    // Frozen weights are constants of the graph, which the engine packs for its products beside the plain ones.
    ...(isAdapter && { adapter: trained, 'engine weights': weights }),
    moments: MOMENTS * trained,
    gradients: gradients * trained,
    held: held * trained,
    // A value model has all of these, and activations of its own where the engine keeps memory for each graph.
    critic: (1 + MOMENTS + gradients + held) * values + (values > 0 && isOnnx ? activations : 0),
    // Tensors that lie on a device are written from copies, one after the other; those of several ranks are gathered first.
    publishing: inTorch
      ? (trainer.torch.processes > 1 ? 1 + MOMENTS : 0) * weights
      : isOnnx || isAdapter
        ? 0
        : FLOAT_BYTES * config.vocabSize * config.hiddenSize,
    activations: ranks * activations,
    logits:
      ranks * logitsBytes(config, inTorch ? tokens : Math.min(trainer.logitsChunk, tokens), LOGITS_COPIES),
    head: isAdapter ? 0 : HEAD_COPIES * FLOAT_BYTES * config.vocabSize * config.hiddenSize,
  };
  return { service: 'trainer', replicas: 1, parts, bytes: total(parts) };
}

function policyPlan(recipe: Recipe, config: ModelConfig, promptTokens: number): ServicePlan {
  const { policy, trainer } = recipe;
  const { engine, replicas } = policy;
  // A server that generates has the weights itself.
  if (typeof engine !== 'string')
    return { service: 'policy', replicas, parts: { process: SERVED_BYTES }, bytes: SERVED_BYTES };
  const weights = FLOAT_BYTES * parameterCount(config);
  const trained = FLOAT_BYTES * trainedCount(recipe, config);
  const isAdapter = recipe.adapter !== undefined;
  const length = longestEpisode(recipe, config, promptTokens);
  const isBaked = policy.weights !== 'inputs';
  const { layers, kvHeads, headDim } = config;
  const parts = {
    process: PROCESS_BYTES[engineOf({ engine })],
    ...(isAdapter
      ? adaptedWeights(weights, trained, policy)
      : {
          // The version in use and the one that takes its place.
          weights: 2 * weights,
          // The engine has its own of each where they are part of the graph.
          'engine weights': isBaked ? 2 * weights : 0,
        }),
    caches: CACHE_COPIES * policy.maxBatch * length * 2 * layers * kvHeads * headDim * FLOAT_BYTES,
    // A prompt of fewer tokens than a block has nothing to keep.
    prefixes: length > BLOCK_TOKENS ? policy.prefixCacheMb * MIB : 0,
    logits: logitsBytes(config, policy.maxBatch, 2 * LOGITS_COPIES),
    scoring: scoringBytes(config, length, trainer.logitsChunk, length),
  };
  return { service: 'policy', replicas, parts, bytes: total(parts) };
}

/** Weights of a policy with an adapter of `adapter` bytes beside a base of `base` bytes. */
function adaptedWeights(base: number, adapter: number, { weights, threads }: Recipe['policy']): Parts {
  const isBuiltAnew = weights === 'initializers' || (weights === 'auto' && threads > 1);
  return {
    // The base on its way into the engine.
    weights: base,
    // The program that generates, twice where each version has one, and the one that checks recorded log-probs.
    'engine weights': (isBuiltAnew ? 3 : 2) * base,
    adapter: 2 * adapter,
  };
}

function referencePlan(recipe: Recipe, config: ModelConfig, promptTokens: number): ServicePlan {
  const { reference, trainer } = recipe;
  const weights = FLOAT_BYTES * parameterCount(config);
  const length = longestEpisode(recipe, config, promptTokens);
  const parts = {
    process: PROCESS_BYTES[engineOf(reference)],
    weights,
    'engine weights': weights,
    scoring: scoringBytes(
      config,
      Math.max(length, Math.min(reference.maxBatchTokens, recipe.algorithm.groupSize * length)),
      trainer.logitsChunk,
      length,
    ),
  };
  return { service: 'reference', replicas: reference.replicas, parts, bytes: total(parts) };
}

/** Memory of a reward service with a reward model, which has no logits. */
function rewardPlan(recipe: Recipe, config: ModelConfig, promptTokens: number): ServicePlan {
  const { reward } = rewardModelOf(recipe)!;
  const weights = FLOAT_BYTES * parameterCount(config);
  const length = Math.min(longestEpisode(recipe, config, promptTokens), conversationTokens(config, reward));
  const { groups } = recipe.batch;
  const tokens = Math.max(
    length,
    Math.min(reward.maxBatchTokens, groups * recipe.algorithm.groupSize * length),
  );
  const parts = {
    process: PROCESS_BYTES[engineOf(reward)],
    weights,
    'engine weights': weights,
    scoring: tokens * layerValues(config, length, 'onnx') * FLOAT_BYTES,
  };
  return { service: 'reward', replicas: recipe.reward.replicas, parts, bytes: total(parts) };
}

/** A forward pass keeps the activations of one layer at a time. */
function scoringBytes(config: ModelConfig, tokens: number, chunk: number, length: number): number {
  return (
    tokens * layerValues(config, length, 'onnx') * FLOAT_BYTES +
    logitsBytes(config, Math.min(chunk, tokens), LOGITS_COPIES)
  );
}

function logitsBytes({ vocabSize }: ModelConfig, rows: number, copies: number): number {
  return copies * rows * vocabSize * FLOAT_BYTES;
}
