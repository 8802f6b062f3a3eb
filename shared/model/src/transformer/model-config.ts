import { z } from 'zod';
import { checksOf, oneOf, type ConfigChecks } from './config-checks';
import { parseRope, ropeFields, type Rope } from './rope-scaling';

/** The shape of a Llama-family decoder, parsed from `config.json`. */
export interface ModelConfig {
  readonly architecture: Architecture;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly rope: Rope;
  readonly tieWordEmbeddings: boolean;
  /** Biases of the query, key and value projections. */
  readonly attentionBias: boolean;
  /** Bias of the attention output projection. */
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  /** RMS norm of every query and key head (Qwen3). */
  readonly qkNorm: boolean;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
  /** Set for a model with a scalar head in place of the LM head. */
  readonly head?: 'score';
}

/** By `model_type`, the beginning of the name in `architectures`. SmolLM2 is a Llama by both. */
const ARCHITECTURES = { llama: 'Llama', mistral: 'Mistral', qwen2: 'Qwen2', qwen3: 'Qwen3' } as const;
type Architecture = keyof typeof ARCHITECTURES;

/** Heads of a model, by what `architectures` says behind the name: tokens, or the score of a text. */
const HEADS = { lm: 'ForCausalLM', score: 'ForSequenceClassification' } as const;
export type Head = keyof typeof HEADS;

/** Defaults of an absent `num_key_value_heads`; null, and absent for Llama, means `num_attention_heads`. */
const DEFAULT_KV_HEADS: Partial<Record<Architecture, number>> = { mistral: 8, qwen2: 32, qwen3: 32 };

const size = z.int().positive();
const flag = z.boolean().default(false);

/** Defaults are those of transformers' config classes. */
const schema = z.object({
  hidden_act: z.string().default('silu'),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  vocab_size: size,
  ...ropeFields,
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: flag,
  attention_bias: flag,
  mlp_bias: flag,
  initializer_range: z.number().positive().default(0.02),
  sliding_window: size.nullish(),
  use_sliding_window: flag,
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
  id2label: z.record(z.string(), z.unknown()).nullish(),
  num_labels: size.nullish(),
});
type HuggingFaceConfig = z.infer<typeof schema>;
const kindSchema = z.object({
  architectures: z.array(z.string()).max(1).nullish(),
  model_type: z.string().nullish(),
});

/**
 * The model with this head that a Hugging Face `config.json` describes.
 *
 * @throws {ForgeError} CONFIG_INVALID naming a field that is missing or mistyped; CONFIG_MODEL_UNSUPPORTED naming
 * a field whose value asks for something we do not compute.
 */
export function parseModelConfig(json: unknown, file: string, head: Head = 'lm'): ModelConfig {
  const checks = checksOf(file);
  const { refuse, checked } = checks;
  // First of all: other architectures name even their sizes differently.
  const architecture = parseArchitecture(json, head, checks);
  const config = checked(() => schema.parse(json));
  if (!['silu', 'swish'].includes(config.hidden_act)) refuse('hidden_act', config.hidden_act, '"silu"');
  if (config.quantization_config != null) {
    refuse('quantization_config', config.quantization_config, 'none: weights in F32, F16 or BF16');
  }
  const maxPositions = config.max_position_embeddings;
  const window = slidingWindow(config, architecture);
  if (window !== undefined && window < maxPositions) {
    refuse('sliding_window', window, `none, or at least max_position_embeddings (${maxPositions})`);
  }
  const otherLayer = config.layer_types?.find(
    (type) => type !== 'full_attention' && type !== 'sliding_attention',
  );
  if (otherLayer !== undefined) refuse('layer_types', otherLayer, '"full_attention"');

  if (head === 'score') checkOneLabel(config, checks);

  const heads = config.num_attention_heads;
  const { num_key_value_heads: givenKvHeads = DEFAULT_KV_HEADS[architecture] } = config;
  const kvHeads = givenKvHeads ?? heads;
  if (heads % kvHeads !== 0)
    refuse('num_key_value_heads', kvHeads, `a divisor of num_attention_heads (${heads})`);
  const headDim = config.head_dim ?? (architecture === 'qwen3' ? 128 : config.hidden_size / heads);
  if (headDim % 2 !== 0)
    refuse('head_dim', headDim, 'an even number (hidden_size / num_attention_heads when absent)');

  const qwen2 = architecture === 'qwen2';
  const attentionBias = architecture !== 'mistral' && config.attention_bias;
  return {
    architecture,
    hiddenSize: config.hidden_size,
    layers: config.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    intermediateSize: config.intermediate_size,
    vocabSize: config.vocab_size,
    maxPositions,
    rmsNormEpsilon: config.rms_norm_eps,
    rope: parseRope(config, checks),
    tieWordEmbeddings: config.tie_word_embeddings,
    attentionBias: qwen2 || attentionBias,
    attentionOutputBias: !qwen2 && attentionBias,
    mlpBias: architecture === 'llama' && config.mlp_bias,
    qkNorm: architecture === 'qwen3',
    initializerRange: config.initializer_range,
    ...(head === 'score' && { head }),
  };
}

/** transformers has two labels unless the file says otherwise. */
function checkOneLabel({ id2label, num_labels: count }: HuggingFaceConfig, { refuse }: ConfigChecks): void {
  const labels = id2label == null ? (count ?? 2) : Object.keys(id2label).length;
  if (labels === 1) return;
  const field = id2label == null ? 'num_labels' : 'id2label';
  refuse(field, id2label ?? count ?? 'none, which is two labels', 'one label, whose logit is the score');
}

/** The model that `architectures` and `model_type` name; either may be absent. */
function parseArchitecture(json: unknown, head: Head, { refuse, checked }: ConfigChecks): Architecture {
  const { architectures, model_type: type } = checked(() => kindSchema.parse(json));
  const known = Object.keys(ARCHITECTURES) as Architecture[];
  const name = architectures?.[0];
  const nameOf = (one: Architecture): string => ARCHITECTURES[one] + HEADS[head];
  const named = known.find((one) => nameOf(one) === name);
  if (name !== undefined && named === undefined)
    return refuse('architectures', name, oneOf(known.map(nameOf)));
  const typed = known.find((one) => one === type);
  if (typed === undefined && (named === undefined || type != null))
    return refuse('model_type', type, oneOf(known));
  if (named !== undefined && typed !== undefined && named !== typed)
    return refuse('model_type', type, `"${named}", as architectures says`);
  return (typed ?? named)!;
}

/** The smallest attention window of any layer, or none. */
function slidingWindow(config: HuggingFaceConfig, architecture: Architecture): number | undefined {
  // The config classes of transformers have a window unless the file says null.
  const window = config.sliding_window === undefined ? 4096 : (config.sliding_window ?? undefined);
  if (architecture === 'llama') return undefined;
  if (architecture === 'mistral') return window;
  if (!config.use_sliding_window) return undefined;
  const used = config.layer_types
    ? config.layer_types.includes('sliding_attention')
    : (config.max_window_layers ?? 28) < config.num_hidden_layers;
  return used ? window : undefined;
}
