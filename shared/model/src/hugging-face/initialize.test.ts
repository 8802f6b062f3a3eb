import { parametersHash } from '@forge/weights';
import { initializeParameters } from './initialize';
import { parseModelConfig } from '../transformer/model-config';

const config = parseModelConfig(
  {
    architectures: ['Qwen2ForCausalLM'],
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 8,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 300,
    max_position_embeddings: 64,
  },
  'config.json',
);

function moments(data: Float32Array): { mean: number; deviation: number; kurtosis: number } {
  const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
  const power = (n: number): number => data.reduce((sum, x) => sum + (x - mean) ** n, 0) / data.length;
  return { mean, deviation: Math.sqrt(power(2)), kurtosis: power(4) / power(2) ** 2 };
}

describe('initializeParameters', () => {
  const parameters = initializeParameters(config, 1);

  it('gives the same bits for the same seed and others for another', () => {
    expect(parametersHash(initializeParameters(config, 1))).toBe(parametersHash(parameters));
    expect(parametersHash(initializeParameters(config, 2))).not.toBe(parametersHash(parameters));
  });

  it.each([
    ['model.embed_tokens.weight', 0.02],
    ['model.layers.3.mlp.up_proj.weight', 0.02],
    ['model.layers.3.mlp.down_proj.weight', 0.02 / 4],
    ['model.layers.7.self_attn.o_proj.weight', 0.02 / 4],
  ])('draws %s from a normal distribution of deviation %d', (name, deviation) => {
    const found = moments(parameters.get(name)!.data);
    expect(Math.abs(found.mean)).toBeLessThan(deviation * 0.04);
    expect(found.deviation / deviation).toBeCloseTo(1, 1.3);
    expect(found.kurtosis).toBeGreaterThan(2.8);
    expect(found.kurtosis).toBeLessThan(3.2);
  });

  it('starts norms at one and biases at zero', () => {
    expect(new Set(parameters.get('model.norm.weight')!.data)).toEqual(new Set([1]));
    expect(new Set(parameters.get('model.layers.0.self_attn.k_proj.bias')!.data)).toEqual(new Set([0]));
  });
});
