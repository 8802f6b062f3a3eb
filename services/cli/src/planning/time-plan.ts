import { candidatesPerBatch, usesCritic, usesReference, type Recipe } from '@forge/config';
import { parameterCount, type ModelConfig } from '@forge/model';
import type { RunModels } from './memory-plan';
import { rolloutPlan } from './rollout-plan';

/** Rates of this machine, in multiplications and additions a second. */
export interface Speed {
  /** The rate of a product with many rows. */
  trainer: number;
  /** The rate of a product with as many rows as are decoded together. */
  policy: number;
}

export interface TimePlan {
  /** Tokens that a step generates at most, and trains at most. */
  generatedTokens: number;
  trainedTokens: number;
  generateSeconds: number;
  referenceSeconds: number;
  trainSeconds: number;
  /** Seconds of a step; with `maxStaleness` above 0 generation and training go on at once. */
  stepSeconds: number;
  tokensPerSecond: number;
  /** Seconds of all steps. */
  runSeconds: number;
}

/** Share of the rate of its products that a whole pass reaches, about. */
const TRAIN_SHARE = 0.6;
const DECODE_SHARE = 0.65;
const FORWARD_OPERATIONS = 2;
const BACKWARD_OPERATIONS = 4;
/** The gradient goes through frozen weights, but they have none. */
const ADAPTER_BACKWARD_OPERATIONS = 2;

/** Parameters that multiply every token: all but the look-up of embeddings. */
function multipliedParameters(config: ModelConfig): number {
  const table = config.vocabSize * config.hiddenSize;
  return parameterCount(config) - (config.tieWordEmbeddings ? 0 : table);
}

/** Multiplications of attention by token, in sequences of `length`. */
function attentionProducts({ layers, heads, headDim }: ModelConfig, length: number): number {
  return 2 * layers * heads * headDim * length;
}

/** The time of a step and of the run, when every completion is as long as it may be. */
export function timePlan(
  recipe: Recipe,
  { config, reference }: RunModels,
  promptTokens: number,
  speed: Speed,
): TimePlan {
  const { batch, algorithm, adapter, policy, trainer, maxStaleness, steps } = recipe;
  const rollout = rolloutPlan(recipe, config, promptTokens);
  const length = rollout.contextTokens;
  const completions = candidatesPerBatch(recipe) * algorithm.groupSize;
  const generatedTokens = completions * rollout.generatedTokens;
  const trainedTokens = batch.groups * algorithm.groupSize * length;
  const [parameters, attention] = [multipliedParameters(config), attentionProducts(config, length)];
  const forward = FORWARD_OPERATIONS * (parameters + attention);
  const operations = adapter === undefined ? BACKWARD_OPERATIONS : ADAPTER_BACKWARD_OPERATIONS;
  const backward =
    operations * parameters + BACKWARD_OPERATIONS * attention + (trainer.recompute ? forward : 0);
  const scoring =
    FORWARD_OPERATIONS * (multipliedParameters(reference) + attentionProducts(reference, length));
  // The rollouts of a group share the prompt of a single answer.
  const readers = rollout.turns === 1 ? candidatesPerBatch(recipe) : completions;
  const prompts = readers * rollout.readTokens;
  const generateSeconds =
    ((generatedTokens + prompts) * forward) / (speed.policy * DECODE_SHARE * policy.replicas);
  const referenceSeconds = usesReference(recipe)
    ? (completions * length * scoring) / (speed.trainer * TRAIN_SHARE)
    : 0;
  const { updatesPerBatch, minibatches } = algorithm;
  const models = usesCritic(recipe) ? 2 : 1;
  // Log-probs before the first update, and values.
  const looks = (updatesPerBatch * minibatches > 1 ? 1 : 0) + models - 1;
  const perToken = updatesPerBatch * models * (forward + backward) + looks * forward;
  const trainSeconds = (trainedTokens * perToken) / (speed.trainer * TRAIN_SHARE);
  const parts = [generateSeconds + referenceSeconds, trainSeconds];
  const stepSeconds = maxStaleness > 0 ? Math.max(...parts) : parts[0]! + parts[1]!;
  return {
    generatedTokens,
    trainedTokens,
    generateSeconds,
    referenceSeconds,
    trainSeconds,
    stepSeconds,
    tokensPerSecond: generatedTokens / generateSeconds,
    runSeconds: steps * stepSeconds,
  };
}
