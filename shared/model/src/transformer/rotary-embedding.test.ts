import { parseModelConfig } from './model-config';
import { rotaryTables } from './rotary-embedding';

const POSITION = 8000;

const configOf = (ropeParameters: object) =>
  parseModelConfig(
    {
      model_type: 'llama',
      hidden_size: 32,
      intermediate_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      vocab_size: 8,
      max_position_embeddings: 8192,
      rope_parameters: ropeParameters,
    },
    'config.json',
  );

describe('rotaryTables', () => {
  // LlamaRotaryEmbedding of transformers 5.24 on the CPU; waves of exact angles are 8e-5 and more away, and ten times that for wider heads.
  it.each<[string, object, number[], number[]]>([
    [
      'no scaling',
      { rope_type: 'default', rope_theta: 10000.0 },
      [0.0656451, -0.667511, -0.4481275, -0.0839161, -0.1103872, 0.986339, -0.1455, -0.8186326],
      [0.997843, -0.7445999, 0.8939697, 0.9964728, -0.9938887, 0.164728, 0.9893582, 0.5743176],
    ],
    [
      'linear',
      { rope_type: 'linear', factor: 3.5, rope_theta: 10000.0 },
      [0.2042524, 0.971332, -0.721495, -0.9997118, -0.6478826, 0.5858411, -0.6555555, 0.7499523],
      [-0.9789183, 0.237727, 0.6924196, -0.0240063, -0.7617401, 0.8104259, 0.755147, 0.6614919],
    ],
    [
      'dynamic',
      { rope_type: 'dynamic', factor: 2.0, rope_theta: 500000.0 },
      [0.0656451, 0.8447541, 0.7353193, -0.2200405, 0.3127939, -0.5836278, 0.9108475, 0.9965982],
      [0.997843, -0.5351546, -0.6777208, 0.9754907, -0.9498211, 0.8120213, 0.4127432, 0.0824135],
    ],
    [
      'llama3',
      {
        rope_type: 'llama3',
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 2048,
        rope_theta: 500000.0,
      },
      [0.0656451, 0.8447541, 0.7353193, 0.770441, 0.1559438, 0.9626291, 0.9985861, 0.9999468],
      [0.997843, -0.5351546, -0.6777208, -0.6375113, 0.9877659, 0.2708233, 0.0531579, 0.0103132],
    ],
    [
      'yarn',
      { rope_type: 'yarn', factor: 4.0, original_max_position_embeddings: 2048, rope_theta: 1000000.0 },
      [0.0747455, -0.9892896, 0.3686328, -0.9978714, -0.473837, 1.0673721, 1.1363529, 1.1385574],
      [1.1361735, 0.5637226, 1.0773053, -0.5483882, 1.0353528, 0.3964768, 0.0719652, 0.0128057],
    ],
    [
      'yarn without rounding',
      {
        rope_type: 'yarn',
        factor: 2.5,
        original_max_position_embeddings: 3200,
        rope_theta: 10000.0,
        truncate: false,
        beta_fast: 16.0,
        beta_slow: 2.0,
        mscale: 0.7,
        mscale_all_dim: 1.3,
      },
      [0.0624203, -0.6347191, -0.4261129, -0.0797937, -0.9373299, -0.73062, -0.9492528, 0.5041786],
      [0.9488233, -0.708021, 0.8500528, 0.9475204, -0.1599209, -0.6085692, -0.0555063, 0.8062047],
    ],
  ])('gives what transformers computes at position 8,000: %s', (_, ropeParameters, cosines, sines) => {
    const tables = rotaryTables(configOf(ropeParameters));
    const half = cosines.length;
    for (const [name, expected] of [
      ['cosines', cosines],
      ['sines', sines],
    ] as const) {
      const found = tables[name].subarray(POSITION * half, (POSITION + 1) * half);
      expected.forEach((value, i) => expect(Math.abs(found[i]! - value)).toBeLessThan(1e-6));
    }
  });
});
