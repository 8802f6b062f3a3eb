import { ForgeError } from '@forge/errors';
import { elementCount, type NamedTensor, type TensorRole, type UnreadTensor } from '@forge/weights';
import type { ModelConfig } from './model-config';

/** The scalar head of a sequence classifier with one label, [1, hiddenSize]. */
export const SCORE_HEAD = 'score.weight';

/**
 * Hugging Face name and shape of every parameter, in the order of the forward pass. Projections are stored
 * [outputs, inputs]. With tied embeddings, and with a scalar head, there is no `lm_head.weight`.
 */
export function parameterShapes(config: ModelConfig): Map<string, readonly number[]> {
  const { hiddenSize, intermediateSize, headDim, vocabSize } = config;
  const queries = config.heads * headDim;
  const keys = config.kvHeads * headDim;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  const projection = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    shapes.set(`${prefix}.input_layernorm.weight`, [hiddenSize]);
    projection(`${prefix}.self_attn.q_proj`, queries, hiddenSize, config.attentionBias);
    projection(`${prefix}.self_attn.k_proj`, keys, hiddenSize, config.attentionBias);
    projection(`${prefix}.self_attn.v_proj`, keys, hiddenSize, config.attentionBias);
    if (config.qkNorm) {
      shapes.set(`${prefix}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${prefix}.self_attn.k_norm.weight`, [headDim]);
    }
    projection(`${prefix}.self_attn.o_proj`, hiddenSize, queries, config.attentionOutputBias);
    shapes.set(`${prefix}.post_attention_layernorm.weight`, [hiddenSize]);
    projection(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize, config.mlpBias);
    projection(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize, config.mlpBias);
    projection(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize, config.mlpBias);
  }
  shapes.set('model.norm.weight', [hiddenSize]);
  if (config.head === 'score') shapes.set(SCORE_HEAD, [1, hiddenSize]);
  else if (!config.tieWordEmbeddings) shapes.set('lm_head.weight', [vocabSize, hiddenSize]);
  return shapes;
}

/** How many parameters a model has; tied embeddings count once. */
export function parameterCount(config: ModelConfig): number {
  return [...parameterShapes(config).values()].reduce((sum, shape) => sum + elementCount(shape), 0);
}

/** The role of a checkpoint's tensor in the model of `config`, by name. */
export function tensorRoles(config: ModelConfig): (name: string) => TensorRole {
  const shapes = parameterShapes(config);
  return (name) => (shapes.has(name) ? 'needed' : isUnread(config, name) ? 'unread' : 'spare');
}

/** Whether a tensor of a checkpoint says nothing: the LM head of a scorer takes no part. */
function isUnread({ head }: ModelConfig, name: string): boolean {
  return isRotaryTable(name) || (head === 'score' && name === 'lm_head.weight');
}

/** Rotary tables of old checkpoints, in whatever dtype, say again what config.json says. */
function isRotaryTable(name: string): boolean {
  return name.includes('.rotary_emb.');
}

/**
 * The parameters that `config` describes, in the order of `parameterShapes`. A copy of tied embeddings, the rotary tables of
 * old checkpoints and the LM head of a scorer are left out.
 *
 * @throws {ForgeError} SHAPE_MISMATCH naming the tensor that is missing, unexpected or of another shape.
 */
export function matchParameters<T extends NamedTensor | UnreadTensor>(
  config: ModelConfig,
  found: ReadonlyMap<string, T>,
  where: string,
): Map<string, T> {
  const shapes = parameterShapes(config);
  const matched = new Map<string, T>();
  for (const [name, expected] of shapes) {
    const tensor = found.get(name);
    const fail = (problem: string): ForgeError =>
      new ForgeError('SHAPE_MISMATCH', `${where}: tensor "${name}": ${problem} as config.json says`, {
        where,
        tensor: name,
        found: tensor?.shape,
        expected,
      });
    if (tensor === undefined) throw fail(`not found, expected shape [${expected.join(', ')}]`);
    if (tensor.shape.join() !== expected.join()) {
      throw fail(`found shape [${tensor.shape.join(', ')}], expected [${expected.join(', ')}]`);
    }
    matched.set(name, tensor);
  }
  for (const [name, tensor] of found) {
    if (shapes.has(name) || isUnread(config, name)) continue;
    const isTiedCopy =
      name === 'lm_head.weight' && sameValues(tensor, matched.get('model.embed_tokens.weight')!);
    if (isTiedCopy) continue;
    const why =
      name === 'lm_head.weight'
        ? 'differs from model.embed_tokens.weight, but config.json has tie_word_embeddings true'
        : 'unexpected: config.json describes no such tensor';
    throw new ForgeError('SHAPE_MISMATCH', `${where}: tensor "${name}": ${why}`, { where, tensor: name });
  }
  return matched;
}

function sameValues(a: NamedTensor | UnreadTensor, b: NamedTensor | UnreadTensor): boolean {
  return (
    'data' in a &&
    'data' in b &&
    a.data.length === b.data.length &&
    a.data.every((value, i) => value === b.data[i])
  );
}
