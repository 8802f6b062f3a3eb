import { parseModelConfig } from './model-config';
import { parameterShapes } from './parameter-shapes';

const base = {
  architectures: ['LlamaForCausalLM'],
  hidden_act: 'silu',
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: 512,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
};
const parse = (changes: object) => parseModelConfig({ ...base, ...changes }, 'm/config.json');
const biases = (changes: object): string[] =>
  [...parameterShapes(parse(changes)).keys()]
    .filter((name) => name.endsWith('.bias') && name.includes('layers.0.'))
    .map((name) => name.split('.').at(-2)!);
const refusal = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

describe('parseModelConfig', () => {
  it('reads a Llama config and fills in the defaults of transformers', () => {
    expect(parse({ num_key_value_heads: undefined, rms_norm_eps: undefined })).toEqual({
      architecture: 'llama',
      hiddenSize: 64,
      layers: 2,
      heads: 8,
      kvHeads: 8,
      headDim: 8,
      intermediateSize: 172,
      vocabSize: 512,
      maxPositions: 4096,
      rmsNormEpsilon: 1e-6,
      rope: { theta: 10_000, scaling: { type: 'none' } },
      tieWordEmbeddings: false,
      attentionBias: false,
      attentionOutputBias: false,
      mlpBias: false,
      qkNorm: false,
      initializerRange: 0.02,
    });
  });

  it.each(['Llama', 'Mistral', 'Qwen2', 'Qwen3'])(
    'reads a sequence classifier of %s with one label',
    (name) => {
      const json = {
        ...{ ...base, architectures: [`${name}ForSequenceClassification`], sliding_window: null },
        ...{ id2label: { 0: 'LABEL_0' }, head_dim: 8 },
      };
      const config = parseModelConfig(json, 'm/config.json', 'score');
      expect(config.head).toBe('score');
      const shapes = parameterShapes(config);
      expect(shapes.get('score.weight')).toEqual([1, 64]);
      expect(shapes.has('lm_head.weight')).toBe(false);
    },
  );

  it.each<[object, string]>([
    [{}, 'num_labels: found "none, which is two labels", expected one label'],
    [{ id2label: { 0: 'bad', 1: 'good' } }, 'id2label: found {"0":"bad","1":"good"}, expected one label'],
    [{ num_labels: 3 }, 'num_labels: found 3, expected one label'],
    [{ architectures: ['LlamaForCausalLM'] }, 'expected one of "LlamaForSequenceClassification", "Mistral'],
  ])('refuses a sequence classifier with %j', (changes, message) => {
    const json = { ...base, architectures: ['LlamaForSequenceClassification'], ...changes };
    expect(() => parseModelConfig(json, 'm/config.json', 'score')).toThrow(message);
  });

  it('gives each architecture its biases and norms', () => {
    expect(biases({})).toEqual([]);
    expect(biases({ attention_bias: true, mlp_bias: true })).toEqual([
      ...['q_proj', 'k_proj', 'v_proj', 'o_proj'],
      ...['gate_proj', 'up_proj', 'down_proj'],
    ]);
    expect(biases({ architectures: ['MistralForCausalLM'], sliding_window: null })).toEqual([]);
    expect(biases({ architectures: ['Qwen2ForCausalLM'] })).toEqual(['q_proj', 'k_proj', 'v_proj']);
    const qwen3 = parse({ architectures: ['Qwen3ForCausalLM'] });
    expect(qwen3).toMatchObject({ qkNorm: true, headDim: 128, attentionBias: false });
    expect(parameterShapes(qwen3).get('model.layers.1.self_attn.q_norm.weight')).toEqual([128]);
    expect(parameterShapes(qwen3).get('model.layers.1.self_attn.o_proj.weight')).toEqual([64, 1024]);
  });

  it.each<[string, object, object]>([
    ['none', { rope_scaling: null, rope_theta: 5e5 }, { theta: 5e5, scaling: { type: 'none' } }],
    [
      'linear',
      { rope_scaling: { type: 'linear', factor: 4 } },
      { theta: 10_000, scaling: { type: 'linear', factor: 4 } },
    ],
    [
      'llama3',
      {
        rope_parameters: {
          rope_type: 'llama3',
          rope_theta: 5e5,
          factor: 8,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 8192,
        },
      },
      {
        theta: 5e5,
        scaling: {
          type: 'llama3',
          factor: 8,
          lowFrequencyFactor: 1,
          highFrequencyFactor: 4,
          originalMaxPositions: 8192,
        },
      },
    ],
    [
      'yarn',
      { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 1024 } },
      {
        theta: 10_000,
        scaling: {
          type: 'yarn',
          factor: 4,
          betaFast: 32,
          betaSlow: 1,
          originalMaxPositions: 1024,
          attentionFactor: 0.1 * Math.log(4) + 1,
          truncate: true,
        },
      },
    ],
  ])('reads rope scaling: %s', (_, changes, rope) => {
    expect(parse(changes).rope).toEqual(rope);
  });

  const yarn = { rope_type: 'yarn', factor: 4 };
  const llama3 = { rope_type: 'llama3', factor: 4, low_freq_factor: 1, high_freq_factor: 4 };
  const top = { original_max_position_embeddings: 256 };

  it.each<[string, object, object]>([
    [
      'yarn and its original length at the top',
      { rope_scaling: yarn, ...top },
      { rope_scaling: { ...yarn, ...top } },
    ],
    [
      'an original length at the top and another inside, of which transformers takes the former',
      { rope_scaling: { ...yarn, original_max_position_embeddings: 512 }, ...top },
      { rope_scaling: { ...yarn, ...top } },
    ],
    [
      'llama3 and its original length at the top',
      { rope_parameters: llama3, ...top },
      { rope_scaling: { ...llama3, ...top } },
    ],
    [
      'no original length',
      { rope_scaling: llama3 },
      { rope_scaling: { ...llama3, original_max_position_embeddings: 4096 } },
    ],
    [
      'a yarn factor of null',
      { rope_parameters: { ...yarn, factor: null, original_max_position_embeddings: 512 } },
      { rope_scaling: { ...yarn, factor: 8, original_max_position_embeddings: 512 } },
    ],
    [
      'yarn settings of 0 and null',
      {
        rope_scaling: {
          ...yarn,
          ...top,
          mscale: 0.7,
          mscale_all_dim: 0,
          beta_fast: null,
          beta_slow: 0,
          attention_factor: null,
        },
      },
      { rope_scaling: { ...yarn, ...top, beta_fast: 32, beta_slow: 1 } },
    ],
    [
      'truncate of null',
      { rope_scaling: { ...yarn, truncate: null } },
      { rope_scaling: { ...yarn, truncate: false } },
    ],
    [
      'a rope_scaling that was added beside rope_parameters',
      {
        rope_parameters: { rope_type: 'default', rope_theta: 5e5 },
        rope_scaling: { ...yarn, rope_theta: 5e5 },
      },
      { rope_theta: 5e5, rope_scaling: yarn },
    ],
    [
      'the same of the default theta',
      {
        rope_parameters: { rope_type: 'default', rope_theta: 10_000 },
        rope_scaling: { type: 'linear', factor: 3 },
      },
      { rope_scaling: { type: 'linear', factor: 3 } },
    ],
    [
      'an empty rope_scaling beside rope_parameters',
      { rope_parameters: { rope_theta: 7e4 }, rope_scaling: {} },
      { rope_theta: 7e4 },
    ],
    [
      'a theta at the top beside rope_parameters',
      { rope_theta: 3, rope_parameters: { rope_theta: 7e4 } },
      { rope_theta: 7e4 },
    ],
    [
      'dynamic scaling, which begins behind the last position',
      { rope_scaling: { type: 'dynamic', factor: 2 } },
      {},
    ],
    ['no architectures', { architectures: undefined, model_type: 'llama' }, {}],
    [
      'architectures of null and qwen3',
      { architectures: null, model_type: 'qwen3' },
      { architectures: ['Qwen3ForCausalLM'] },
    ],
    [
      'no number of key-value heads for Qwen2, whose class says 32',
      { architectures: [], model_type: 'qwen2', num_attention_heads: 32, num_key_value_heads: undefined },
      { architectures: ['Qwen2ForCausalLM'], num_attention_heads: 32, num_key_value_heads: 32 },
    ],
    [
      'a window of null that is used',
      {
        architectures: ['Qwen2ForCausalLM'],
        use_sliding_window: true,
        sliding_window: null,
        max_window_layers: 0,
      },
      { architectures: ['Qwen2ForCausalLM'] },
    ],
  ])('reads %s', (_, changes, same) => {
    expect(parse(changes)).toEqual(parse(same));
  });

  it.each<[object, string]>([
    [
      { architectures: ['GemmaForCausalLM'] },
      'architectures: found "GemmaForCausalLM", expected one of "LlamaForC',
    ],
    [{ hidden_act: 'gelu' }, 'hidden_act: found "gelu", expected "silu"'],
    [{ quantization_config: { bits: 4 } }, 'quantization_config: found {"bits":4}, expected none'],
    [
      { rope_scaling: { type: 'longrope', factor: 2 } },
      'rope_scaling.rope_type: found "longrope", expected one of "default", "linear", "dynamic", "llama3", "yarn"',
    ],
    [
      { rope_parameters: { full_attention: { rope_type: 'default', rope_theta: 1e6 } } },
      'rope_parameters.full_attention: found {"rope_type":"default","rope_theta":1000000}, expected one value',
    ],
    [{ rope_parameters: { partial_rotary_factor: 0.25 } }, 'partial_rotary_factor: found 0.25, expected 1'],
    [
      { rope_parameters: { rope_theta: 5e5 }, rope_scaling: { type: 'linear', factor: 2 } },
      'rope_scaling.rope_theta: found null, expected 500000, the rope_theta of rope_parameters, which rope_scaling',
    ],
    [{ model_type: 'mistral' }, 'model_type: found "mistral", expected "llama", as architectures says'],
    [{ architectures: undefined, model_type: 'gemma' }, 'model_type: found "gemma", expected one of "llama"'],
    [{ architectures: undefined }, 'model_type: found undefined, expected one of "llama", "mistral"'],
    [
      {
        architectures: ['MistralForCausalLM'],
        sliding_window: null,
        num_key_value_heads: undefined,
        num_attention_heads: 4,
      },
      'num_key_value_heads: found 8, expected a divisor of num_attention_heads (4)',
    ],
    [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor: found 0.5, expected 1'],
    [
      { num_key_value_heads: 3 },
      'num_key_value_heads: found 3, expected a divisor of num_attention_heads (8)',
    ],
    [
      { num_attention_heads: 4, num_key_value_heads: 4, head_dim: 7 },
      'head_dim: found 7, expected an even number',
    ],
    [{ layer_types: ['full_attention', 'linear_attention'] }, 'layer_types: found "linear_attention"'],
    [
      { architectures: ['MistralForCausalLM'], sliding_window: 1024 },
      'sliding_window: found 1024, expected none, or at least max_position_embeddings (4096)',
    ],
    [
      {
        architectures: ['Qwen2ForCausalLM'],
        use_sliding_window: true,
        sliding_window: 512,
        max_window_layers: 1,
      },
      'sliding_window: found 512',
    ],
  ])('refuses %j', (changes, message) => {
    expect(refusal(() => parse(changes))).toMatchObject({
      code: 'CONFIG_MODEL_UNSUPPORTED',
      message: expect.stringContaining(`m/config.json: ${message}`),
    });
  });

  it.each<[object]>([
    [{ architectures: ['MistralForCausalLM'], sliding_window: 4096 }],
    [{ architectures: ['Qwen2ForCausalLM'], use_sliding_window: false, sliding_window: 512 }],
    [
      {
        architectures: ['Qwen2ForCausalLM'],
        use_sliding_window: true,
        sliding_window: 512,
        max_window_layers: 2,
      },
    ],
  ])('accepts a sliding window that never matters: %j', (changes) => {
    expect(parse(changes).layers).toBe(2);
  });

  it.each<[object, string]>([
    [{ hidden_size: '64' }, 'hidden_size: Invalid input: expected number, received string'],
    [{ vocab_size: undefined }, 'vocab_size: Invalid input: expected number, received undefined'],
    [{ num_hidden_layers: 0 }, 'num_hidden_layers: Too small'],
    [{ rope_scaling: { type: 'linear' } }, 'rope_scaling.factor: Invalid input: expected number'],
    [{ rope_scaling: { type: 'dynamic' } }, 'rope_scaling.factor: Invalid input: expected number'],
    [{ rope_parameters: { rope_type: 'yarn' } }, 'rope_parameters.factor: Invalid input: expected number'],
    [
      { rope_scaling: { ...llama3, high_freq_factor: 1 } },
      'rope_scaling.high_freq_factor: Invalid input: expected more than low_freq_factor',
    ],
    [{ architectures: ['LlamaForCausalLM', 'x'] }, 'architectures: Too big'],
  ])('names the field that is missing or mistyped: %j', (changes, message) => {
    expect(refusal(() => parse(changes))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`m/config.json: ${message}`),
    });
  });
});
