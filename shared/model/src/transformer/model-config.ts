import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { parseRopeScaling, ROPE_TYPES, type RopeScaling } from './rope-scaling';

/** The shape of a Llama-family decoder, parsed from `config.json`. */
export interface ModelConfig {
  readonly architecture: 'llama' | 'mistral' | 'qwen2' | 'qwen3';
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly rope: { readonly theta: number; readonly scaling: RopeScaling };
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
}

/** SmolLM2 names itself LlamaForCausalLM. */
const ARCHITECTURES = {
  LlamaForCausalLM: 'llama',
  MistralForCausalLM: 'mistral',
  Qwen2ForCausalLM: 'qwen2',
  Qwen3ForCausalLM: 'qwen3',
} as const;

const size = z.int().positive();
const flag = z.boolean().default(false);
const ropeFields = z.record(z.string(), z.unknown()).nullish();

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
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeFields,
  rope_parameters: ropeFields,
  partial_rotary_factor: z.number().nullish(),
  tie_word_embeddings: flag,
  attention_bias: flag,
  mlp_bias: flag,
  initializer_range: z.number().positive().default(0.02),
  sliding_window: size.nullish(),
  use_sliding_window: flag,
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
});
type HuggingFaceConfig = z.infer<typeof schema>;
const architecturesSchema = z.object({ architectures: z.array(z.string()).length(1) });

/**
 * The model that a Hugging Face `config.json` describes.
 *
 * @throws {ForgeError} CONFIG_INVALID naming a field that is missing or mistyped; CONFIG_MODEL_UNSUPPORTED naming
 * a field whose value asks for something we do not compute.
 */
export function parseModelConfig(json: unknown, file: string): ModelConfig {
  const refuse = (field: string, found: unknown, expected: string): never => {
    const message = `${file}: ${field}: found ${JSON.stringify(found)}, expected ${expected}`;
    throw new ForgeError('CONFIG_MODEL_UNSUPPORTED', message, { file, field, found, expected });
  };
  // First of all: other architectures name even their sizes differently.
  const name = checked(file, () => architecturesSchema.parse(json)).architectures[0]!;
  if (!Object.hasOwn(ARCHITECTURES, name)) refuse('architectures', name, oneOf(Object.keys(ARCHITECTURES)));
  const architecture = ARCHITECTURES[name as keyof typeof ARCHITECTURES];
  const config = checked(file, () => schema.parse(json));
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

  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
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
    rope: parseRope(config, file, refuse),
    tieWordEmbeddings: config.tie_word_embeddings,
    attentionBias: qwen2 || attentionBias,
    attentionOutputBias: !qwen2 && attentionBias,
    mlpBias: architecture === 'llama' && config.mlp_bias,
    qkNorm: architecture === 'qwen3',
    initializerRange: config.initializer_range,
  };
}

type Refuse = (field: string, found: unknown, expected: string) => never;

function parseRope(config: HuggingFaceConfig, file: string, refuse: Refuse): ModelConfig['rope'] {
  // transformers 5 moved `rope_theta` and `rope_scaling` into `rope_parameters`.
  const field = config.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const fields = config[field] ?? {};
  const type = fields['rope_type'] ?? fields['type'] ?? 'default';
  const ropeType = ROPE_TYPES.find((known) => known === type);
  if (ropeType === undefined) return refuse(`${field}.rope_type`, type, oneOf(ROPE_TYPES));
  const rotary = fields['partial_rotary_factor'] ?? config.partial_rotary_factor ?? 1;
  if (rotary !== 1) refuse('partial_rotary_factor', rotary, '1');
  const theta = fields['rope_theta'] ?? config.rope_theta ?? 10_000;
  return {
    theta: checked(file, () => z.number().positive().parse(theta), 'rope_theta'),
    scaling: checked(file, () => parseRopeScaling(ropeType, fields, config.max_position_embeddings), field),
  };
}

/** The smallest attention window of any layer, or none. */
function slidingWindow(
  config: HuggingFaceConfig,
  architecture: ModelConfig['architecture'],
): number | undefined {
  if (architecture === 'llama') return undefined;
  // MistralConfig has a window unless the file says null.
  if (architecture === 'mistral')
    return config.sliding_window === undefined ? 4096 : (config.sliding_window ?? undefined);
  if (!config.use_sliding_window) return undefined;
  const used = config.layer_types
    ? config.layer_types.includes('sliding_attention')
    : (config.max_window_layers ?? 28) < config.num_hidden_layers;
  return used ? (config.sliding_window ?? 4096) : undefined;
}

function oneOf(values: readonly string[]): string {
  return `one of ${values.map((value) => JSON.stringify(value)).join(', ')}`;
}

/** The result of `parse`, its ZodError turned into an error that names file and field. */
function checked<T>(file: string, parse: () => T, parent?: string): T {
  try {
    return parse();
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    if (issue === undefined) throw error;
    const field = [...(parent === undefined ? [] : [parent]), ...issue.path].join('.');
    throw new ForgeError('CONFIG_INVALID', `${file}: ${field}: ${issue.message}`, { file, field });
  }
}
