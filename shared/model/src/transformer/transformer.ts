import {
  add,
  gather,
  matmul,
  mul,
  recompute,
  reshape,
  rmsNorm,
  silu,
  type Dim,
  type Tensor,
} from '@forge/graph';
import { causalAttention, type Attention } from './attention';
import type { ModelConfig } from './model-config';
import { parameterShapes, SCORE_HEAD } from './parameter-shapes';
import { rotate, rotationAt, type Rotation } from './rotary-embedding';

/** The parameter of a Hugging Face name; projections are [outputs, inputs]. */
export type WeightSource = (name: string) => Tensor;

/** The part that an adapter adds to the output of a linear layer for its input `x`; null where it leaves the layer alone. */
export type AdapterSource = (layer: string, x: Tensor) => Tensor | null;

export interface TransformerInput {
  /** int64 [B, T] */
  tokens: Tensor;
  /** int64 [B, T] */
  positions: Tensor;
  /** The keys that a query may look at; causal over the T tokens of its own row unless given. */
  attention?: Attention;
  /** Added to the linear layers. */
  adapter?: AdapterSource | undefined;
  /** Recompute each layer's activations in the backward pass instead of keeping them. */
  recompute?: boolean;
  /**
   * Picks the positions whose output is wanted, [B, T, width] -> [N, width]; all of them unless given. Behind its
   * attention, which needs every position, the last layer works on these alone.
   */
  select?: (x: Tensor) => Tensor;
}

/**
 * The Llama-family decoder, the one definition behind prefill, decoding, scoring and training. Gives what the LM head
 * multiplies, the hidden states after the final norm: [B, T, hiddenSize], or [N, hiddenSize] with `select`.
 *
 * Rows are padded on the right: under causal attention no token sees the padding behind it. The outputs at the padding are
 * meaningless, and the caller masks them.
 */
export function transformer(config: ModelConfig, weights: WeightSource, input: TransformerInput): Tensor {
  const { tokens, positions } = input;
  const attention = input.attention ?? causalAttention(tokens);
  const rotation = rotationAt(tokens.graph, config, positions);
  const linear = linearLayers(config, weights, input.adapter);
  let x = gather(weights('model.embed_tokens.weight'), tokens);
  for (let index = 0; index < config.layers; index++) {
    const select = index === config.layers - 1 ? input.select : undefined;
    const run = (hidden: Tensor): Tensor =>
      layer(config, { weights, linear }, index, hidden, rotation, attention, select);
    x = input.recompute ? recompute(([hidden]) => [run(hidden!)], [x])[0]! : run(x);
  }
  return rmsNorm(x, weights('model.norm.weight'), config.rmsNormEpsilon);
}

/** The matrix of the LM head, [vocabSize, hiddenSize]. */
export function headWeight(config: ModelConfig, weights: WeightSource): Tensor {
  return weights(config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight');
}

/** The scores that the scalar head gives the outputs of the transformer, [N, hiddenSize] -> [N]. */
export function scalarHead(hidden: Tensor, weights: WeightSource): Tensor {
  return reshape(matmul(hidden, weights(SCORE_HEAD), { transposeB: true }), [-1]);
}

/** The output of a linear layer for `x`, by the layer's name. */
type LinearLayers = (x: Tensor, layer: string) => Tensor;

function linearLayers(config: ModelConfig, weights: WeightSource, adapter?: AdapterSource): LinearLayers {
  const known = parameterShapes(config);
  return (x, layer) => {
    const product = matmul(x, weights(`${layer}.weight`), { transposeB: true });
    const biased = known.has(`${layer}.bias`) ? add(product, weights(`${layer}.bias`)) : product;
    const update = adapter?.(layer, x) ?? null;
    return update === null ? biased : add(biased, update);
  };
}

function layer(
  config: ModelConfig,
  { weights, linear: linearOf }: { weights: WeightSource; linear: LinearLayers },
  index: number,
  x: Tensor,
  rotation: Rotation,
  attention: Attention,
  select: (x: Tensor) => Tensor = (all) => all,
): Tensor {
  const { heads, kvHeads, headDim, rmsNormEpsilon } = config;
  const prefix = `model.layers.${index}.`;
  const own = (name: string): Tensor => weights(prefix + name);
  const [rows, columns] = x.shape as [Dim, Dim];
  const linear = (input: Tensor, name: string): Tensor => linearOf(input, prefix + name);
  const split = (input: Tensor, count: number): Tensor => reshape(input, [rows, columns, count, headDim]);
  const headNorm = (input: Tensor, name: string): Tensor =>
    config.qkNorm ? rmsNorm(input, own(`${name}.weight`), rmsNormEpsilon) : input;

  const normed = rmsNorm(x, own('input_layernorm.weight'), rmsNormEpsilon);
  const query = headNorm(split(linear(normed, 'self_attn.q_proj'), heads), 'self_attn.q_norm');
  const key = headNorm(split(linear(normed, 'self_attn.k_proj'), kvHeads), 'self_attn.k_norm');
  const value = split(linear(normed, 'self_attn.v_proj'), kvHeads);
  const mixed = attention(rotate(query, rotation), rotate(key, rotation), value, index);
  const attended = add(select(x), linear(select(mixed), 'self_attn.o_proj'));

  const again = rmsNorm(attended, own('post_attention_layernorm.weight'), rmsNormEpsilon);
  const gated = mul(silu(linear(again, 'mlp.gate_proj')), linear(again, 'mlp.up_proj'));
  return add(attended, linear(gated, 'mlp.down_proj'));
}
