import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SftRecipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import {
  createModel,
  createTokenizer,
  engineFor,
  supervisedEpisode,
  supervisedLoss,
  TrainStep,
  type LoadedModel,
} from '@forge/model';
import { combineRewards, exactReward, type Task } from '@forge/rl';
import { readTensors } from '@forge/weights';
import { arithmeticTokenizer } from './arithmetic-tokenizer';
import { greedyAccuracy } from './accuracy';
import { localGenerator } from './local-generator';

export interface SupervisedProgress {
  step: number;
  loss: number;
  /** Held-out greedy accuracy, where it was measured after this step. */
  accuracy?: number;
}

const EVALUATION_TOKENS = 64;
const TOKENIZER_FILES =
  /^((tokenizer(_config)?|generation_config|special_tokens_map|added_tokens)\.json|chat_template\.jinja)$/;

/** A fresh model as the recipe describes it. */
export function createFromRecipe({ architecture, tokenizer, task, seed, date }: SftRecipe): LoadedModel {
  const maxDigits = task.kind === 'arithmetic' ? task.maxDigits : 1;
  const made = tokenizer === 'arithmetic' ? arithmeticTokenizer(maxDigits) : readTokenizer(tokenizer);
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: architecture.hiddenSize,
    intermediate_size: architecture.intermediateSize,
    num_hidden_layers: architecture.layers,
    num_attention_heads: architecture.heads,
    num_key_value_heads: architecture.kvHeads,
    head_dim: architecture.hiddenSize / architecture.heads,
    vocab_size: made.vocabSize,
    max_position_embeddings: architecture.maxPositions,
    rms_norm_eps: architecture.rmsNormEpsilon,
    rope_theta: architecture.ropeTheta,
    tie_word_embeddings: architecture.tieWordEmbeddings,
    attention_bias: false,
    mlp_bias: false,
    initializer_range: 1 / Math.sqrt(architecture.hiddenSize),
    torch_dtype: 'float32',
    ...(made.endTokenId === undefined ? {} : { eos_token_id: made.endTokenId }),
  };
  return createModel({ 'config.json': config, ...made.files }, seed, { date });
}

/** The tokenizer files of a model folder; the vocabulary is as large as its highest id says. */
function readTokenizer(dir: string): {
  files: Record<string, string>;
  vocabSize: number;
  endTokenId?: number;
} {
  const names = readdirSync(dir).filter((name) => TOKENIZER_FILES.test(name));
  const files = new Map(names.map((name) => [name, readFileSync(join(dir, name))]));
  const { vocabSize } = createTokenizer(files, dir, { embeddingRows: Infinity });
  return {
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.toString('utf8')])),
    vocabSize,
  };
}

/**
 * Trains `model` in place on the task's prompts and completions; ends at the target accuracy or after the recipe's
 * steps. The same recipe and seed give the same bits.
 *
 * @throws {ForgeError} CONFIG_INVALID when the task knows no completions to imitate.
 */
export async function trainSupervised(
  recipe: SftRecipe,
  task: Task,
  model: LoadedModel,
  onStep: (progress: SupervisedProgress) => void,
  signal: AbortSignal,
): Promise<LoadedModel> {
  const { supervised } = task;
  if (supervised === undefined) {
    throw new ForgeError('CONFIG_INVALID', `task: kind ${recipe.task.kind} has no completions to imitate`, {
      field: 'task',
    });
  }
  const { trainer, evaluation, steps, batchSize } = recipe;
  const { config, tokenizer } = model;
  const engine = await engineFor(trainer, 'training', config, 'trainer');
  const training = await TrainStep.create({
    engine,
    config,
    parameters: model.parameters,
    loss: supervisedLoss,
    temperature: 1,
    logitsChunk: trainer.logitsChunk,
    recompute: trainer.recompute,
    microBatchTokens: trainer.microBatchTokens,
    optimizer: { ...trainer, totalSteps: steps },
  });
  const [endTokenId = 0] = tokenizer.endTokenIds;
  const distinct = Math.min(recipe.trainSamples ?? Infinity, task.size);
  const example = (index: number) => {
    const { prompt, completion } = supervised(index % distinct);
    const answer = tokenizer.encode(completion, { addSpecialTokens: false });
    return supervisedEpisode(tokenizer.renderPrompt(prompt).tokenIds, [...answer, endTokenId]);
  };
  const rewards = combineRewards([{ reward: exactReward(), weight: 1 }]);
  const samples = task.heldOut.slice(0, evaluation.samples);
  const trained = async (): Promise<LoadedModel> => ({
    ...model,
    parameters: await readTensors(training.parameters()),
  });

  for (let step = 1; step <= steps && !signal.aborted; step++) {
    const episodes = Array.from({ length: batchSize }, (_, k) => example((step - 1) * batchSize + k));
    const { loss } = await training.step(episodes);
    const isDue = evaluation.everySteps > 0 && (step % evaluation.everySteps === 0 || step === steps);
    if (!isDue || samples.length === 0) {
      onStep({ step, loss });
      continue;
    }
    const generator = await localGenerator(await trained(), trainer, 'trainer');
    const { accuracy } = await greedyAccuracy(generator, samples, rewards, 'exact', EVALUATION_TOKENS);
    await generator.close();
    onStep({ step, loss, accuracy });
    if (recipe.targetAccuracy !== undefined && accuracy >= recipe.targetAccuracy) break;
  }
  return trained();
}
