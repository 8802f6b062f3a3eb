import { samplingSchema } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import type { Parameters } from '@forge/weights';
import { Generator } from '../generation/generator';
import { initializeParameters } from '../hugging-face/initialize';
import { LogprobScorer } from '../generation/logprob-scorer';
import type { ModelConfig } from './model-config';
import type { RopeScaling } from './rope-scaling';

const engine = createEngine({ threads: 1 });

const base: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 24,
  layers: 2,
  heads: 4,
  kvHeads: 4,
  headDim: 8,
  intermediateSize: 20,
  vocabSize: 13,
  maxPositions: 64,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 100, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.4,
};

const rope = (scaling: RopeScaling): Pick<ModelConfig, 'rope'> => ({ rope: { theta: 100, scaling } });
const llama3: RopeScaling = {
  type: 'llama3',
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 32,
};
const yarn: RopeScaling = {
  type: 'yarn',
  factor: 4,
  betaFast: 4,
  betaSlow: 0.5,
  originalMaxPositions: 32,
  attentionFactor: 0.1 * Math.log(4) + 1,
  truncate: true,
};

const cases: [string, ModelConfig][] = [
  ['a plain Llama', base],
  [
    'grouped queries and linear rope scaling',
    { ...base, kvHeads: 2, ...rope({ type: 'linear', factor: 4 }) },
  ],
  [
    'llama3 rope scaling and every bias',
    { ...base, kvHeads: 2, attentionBias: true, attentionOutputBias: true, mlpBias: true, ...rope(llama3) },
  ],
  [
    'Qwen2: biases of q, k and v, with yarn',
    { ...base, architecture: 'qwen2', kvHeads: 2, attentionBias: true, ...rope(yarn) },
  ],
  [
    'Qwen3: norms of q and k, wide heads, an own head',
    { ...base, architecture: 'qwen3', kvHeads: 2, headDim: 12, qkNorm: true, tieWordEmbeddings: false },
  ],
  [
    'one key-value head and yarn without rounding',
    { ...base, kvHeads: 1, ...rope({ ...yarn, truncate: false, attentionFactor: 1.3 }) },
  ],
];

/** Fresh parameters, the norms and biases random too. */
function parametersOf(config: ModelConfig): Parameters {
  const parameters = initializeParameters(config, 1);
  let state = 12345;
  for (const [name, { data }] of parameters) {
    if (!name.endsWith('norm.weight') && !name.endsWith('.bias')) continue;
    for (let i = 0; i < data.length; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      data[i] = (name.endsWith('.bias') ? 0 : 1) + state / 2 ** 32 - 0.5;
    }
  }
  return parameters;
}

/** Radians per position of each pair, one rule after the other as transformers' modeling_rope_utils.py has them. */
function inverseFrequencies({ headDim, rope: { theta, scaling } }: ModelConfig): number[] {
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const plain = 1 / theta ** ((2 * i) / headDim);
    if (scaling.type === 'linear') return plain / scaling.factor;
    if (scaling.type === 'llama3') {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = scaling;
      const wavelength = (2 * Math.PI) / plain;
      if (wavelength > originalMaxPositions / lowFrequencyFactor) return plain / factor;
      if (wavelength < originalMaxPositions / highFrequencyFactor) return plain;
      const smooth =
        (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
      return ((1 - smooth) * plain) / factor + smooth * plain;
    }
    if (scaling.type === 'yarn') {
      const correction = (rotations: number): number =>
        (headDim * Math.log(scaling.originalMaxPositions / (rotations * 2 * Math.PI))) /
        (2 * Math.log(theta));
      let [low, high] = [correction(scaling.betaFast), correction(scaling.betaSlow)];
      if (scaling.truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
      [low, high] = [Math.max(low, 0), Math.min(high, headDim - 1)];
      if (low === high) high += 0.001;
      const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
      return (plain / scaling.factor) * ramp + plain * (1 - ramp);
    }
    return plain;
  });
}

/** The log-prob of every token given those before it, in float64 and plain loops over one token after the other. */
function slowLogprobs(config: ModelConfig, parameters: Parameters, tokens: readonly number[]): number[] {
  const { heads, kvHeads, headDim, hiddenSize, vocabSize, rmsNormEpsilon } = config;
  const weight = (name: string): Float64Array => Float64Array.from(parameters.get(name)!.data);
  const linear = (x: readonly number[], name: string): number[] => {
    const [matrix, bias] = [weight(`${name}.weight`), parameters.get(`${name}.bias`)?.data];
    return Array.from({ length: matrix.length / x.length }, (_, o) =>
      x.reduce((sum, value, i) => sum + value * matrix[o * x.length + i]!, bias ? bias[o]! : 0),
    );
  };
  const norm = (x: readonly number[], name: string): number[] => {
    const gain = weight(`${name}.weight`);
    const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(meanSquare + rmsNormEpsilon)) * gain[i]!);
  };
  const headsOf = (x: readonly number[], normName: string): number[][] =>
    Array.from({ length: x.length / headDim }, (_, h) => x.slice(h * headDim, (h + 1) * headDim)).map(
      (head) => (config.qkNorm && normName !== '' ? norm(head, normName) : head),
    );
  const frequencies = inverseFrequencies(config);
  const scale = config.rope.scaling.type === 'yarn' ? config.rope.scaling.attentionFactor : 1;
  const rotated = (head: readonly number[], position: number): number[] => {
    const half = headDim / 2;
    return head.map((value, i) => {
      const angle = position * frequencies[i % half]!;
      const other = i < half ? -head[i + half]! : head[i - half]!;
      return scale * (value * Math.cos(angle) + other * Math.sin(angle));
    });
  };

  const embedding = weight('model.embed_tokens.weight');
  let states = tokens.map((id) => [...embedding.slice(id * hiddenSize, (id + 1) * hiddenSize)]);
  for (let layer = 0; layer < config.layers; layer++) {
    const own = (name: string): string => `model.layers.${layer}.${name}`;
    const normed = states.map((x) => norm(x, own('input_layernorm')));
    const queries = normed.map((x, t) =>
      headsOf(linear(x, own('self_attn.q_proj')), own('self_attn.q_norm')).map((head) => rotated(head, t)),
    );
    const keys = normed.map((x, t) =>
      headsOf(linear(x, own('self_attn.k_proj')), own('self_attn.k_norm')).map((head) => rotated(head, t)),
    );
    const values = normed.map((x) => headsOf(linear(x, own('self_attn.v_proj')), ''));
    states = states.map((x, t) => {
      const mixed = queries[t]!.flatMap((query, h) => {
        const shared = Math.floor((h * kvHeads) / heads);
        const scores = Array.from({ length: t + 1 }, (_, s) =>
          keys[s]![shared]!.reduce((sum, value, i) => sum + value * query[i]!, 0),
        ).map((score) => Math.exp(score / Math.sqrt(headDim)));
        const total = scores.reduce((a, b) => a + b, 0);
        return query.map((_, i) =>
          scores.reduce((sum, score, s) => sum + (score / total) * values[s]![shared]![i]!, 0),
        );
      });
      const attended = linear(mixed, own('self_attn.o_proj')).map((value, i) => value + x[i]!);
      const again = norm(attended, own('post_attention_layernorm'));
      const up = linear(again, own('mlp.up_proj'));
      const gated = linear(again, own('mlp.gate_proj')).map(
        (value, i) => (value / (1 + Math.exp(-value))) * up[i]!,
      );
      return linear(gated, own('mlp.down_proj')).map((value, i) => value + attended[i]!);
    });
  }
  const head = config.tieWordEmbeddings ? embedding : weight('lm_head.weight');
  return tokens.map((id, t) => {
    if (t === 0) return 0;
    const x = norm(states[t - 1]!, 'model.norm');
    const logits = Array.from({ length: vocabSize }, (_, v) =>
      x.reduce((sum, value, i) => sum + value * head[v * hiddenSize + i]!, 0),
    );
    return logits[id]! - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  });
}

const largestGap = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describe('the transformer, against plain loops in float64', () => {
  const sequences = [47, 12, 2].map((length, row) =>
    Array.from({ length }, (_, t) => (t * t + 5 * t + 3 * row) % 13),
  );

  it.each(cases)('scores as they do: %s', async (_, config) => {
    const parameters = parametersOf(config);
    const scorer = await LogprobScorer.create({ engine, config, parameters, maxBatchTokens: 1000 });
    const scores = await scorer.score(sequences);
    scores.forEach((logprobs, row) => {
      expect(largestGap(logprobs, slowLogprobs(config, parameters, sequences[row]!))).toBeLessThan(1e-4);
    });
    // The rotation matters to these sequences: without the scaling, they score otherwise.
    if (config.rope.scaling.type !== 'none') {
      const unscaled = slowLogprobs({ ...config, ...rope({ type: 'none' }) }, parameters, sequences[0]!);
      expect(largestGap(scores[0]!, unscaled)).toBeGreaterThan(1e-2);
    }
    await scorer.release();
  });

  it.each(cases)('generates with log-probs as theirs: %s', async (_, config) => {
    const parameters = parametersOf(config);
    const common = {
      version: 0,
      endTokenIds: [],
      maxBatch: 8,
      chunk: 5,
      weightMode: 'initializers',
      decodeText: String,
    } as const;
    const generator = await Generator.create({ ...common, engine, config, parameters });
    const sampling = samplingSchema.parse({ maxTokens: 12 });
    const completions = await Promise.all(
      sequences.map(async (promptTokenIds, row) => {
        const [completion] = await generator.generate({
          promptTokenIds,
          rolloutIds: [`r-${row}`],
          seed: 1,
          sampling,
        });
        return completion!;
      }),
    );
    for (const { promptTokenIds, tokenIds, logprobs } of completions) {
      const expected = slowLogprobs(config, parameters, [...promptTokenIds, ...tokenIds]).slice(
        promptTokenIds.length,
      );
      expect(largestGap(logprobs, expected)).toBeLessThan(1e-4);
    }
    await generator.close();
  });
});
