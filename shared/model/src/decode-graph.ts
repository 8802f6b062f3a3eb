import {
  concat,
  gather,
  Graph,
  loop,
  matmul,
  reshape,
  slice,
  toOnnx,
  transpose,
  zeros,
  type Tensor,
} from '@forge/graph';
import type { Parameters } from '@forge/weights';
import { attendInParts, groupedCausalMask, lengthMask, withOnes, type Attention, type KeyValues } from './attention';
import type { ModelConfig } from './model-config';
import { following, sampleTokens, type RowSampling } from './sampling-graph';
import { headWeight, transformer, type WeightSource } from './transformer';

/** Whether the weights are part of the graph (prepacked, faster) or given at every run (no new session for new ones). */
export type WeightMode = 'initializers' | 'inputs';

function weightSource(graph: Graph, parameters: Parameters, mode: WeightMode): WeightSource {
  const made = new Map<string, Tensor>();
  return (name) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const { shape, data } = parameters.get(name)!;
    const tensor = mode === 'initializers' ? graph.weight(name, data, shape) : graph.input(name, 'float32', shape);
    made.set(name, tensor);
    return tensor;
  };
}

const keysName = (layer: number): string => `keys.${layer}`;
const valuesName = (layer: number): string => `values.${layer}`;

/** Keys and values as the cache holds them: [B, kvHeads, T, headDim]. */
const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3]);

/**
 * Prefill: the keys and values of prompts.
 *
 * Inputs: tokens int64 [B, T], padded on the right. Outputs: keys.L, values.L [B, kvHeads, T, headDim] by layer.
 */
export function prefillModel(config: ModelConfig, parameters: Parameters, mode: WeightMode): Uint8Array {
  const graph = new Graph();
  const weights = weightSource(graph, parameters, mode);
  const tokens = graph.input('tokens', 'int64', ['B', 'T']);
  const positions = graph.input('positions', 'int64', ['B', 'T']);
  const mask = groupedCausalMask(tokens, config.heads / config.kvHeads);
  const outputs: Record<string, Tensor> = {};
  const attention: Attention = (query, key, value, layer) => {
    const [keys, values] = [headsFirst(key), headsFirst(value)];
    outputs[keysName(layer)] = keys;
    outputs[valuesName(layer)] = values;
    return attendInParts(query, [{ keys, values: withOnes(values), mask }]);
  };
  transformer(config, weights, { tokens, positions, attention });
  return toOnnx(outputs);
}

/**
 * Decoding: a loop in the graph that samples `trips` tokens per row. The cache of earlier tokens is frozen and used
 * from outside the loop; only the keys and values of the new tokens are carried and given back.
 *
 * Inputs: trips int64 []; tokens int64 [B, 1] (the last token of each row, not in the cache yet); lengths int64 [B]
 * (tokens in the cache); uniforms [B, C]; temperature, greedy and, in the filtering variant, topK and topP [B, 1];
 * keys.L, values.L [B, kvHeads, P, headDim].
 * Outputs: sampled int64 and logprobs [trips, B, 1]; new.keys.L, new.values.L [B, kvHeads, trips, headDim] of the tokens
 * that went in, so the last sampled token is not among them.
 */
export function decodeModel(config: ModelConfig, parameters: Parameters, mode: WeightMode, isFiltering: boolean): Uint8Array {
  const { layers, kvHeads, headDim } = config;
  const graph = new Graph();
  const weights = weightSource(graph, parameters, mode);
  const head = headWeight(config, weights);
  const trips = graph.input('trips', 'int64', []);
  const first = graph.input('tokens', 'int64', ['B', 1]);
  const lengths = graph.input('lengths', 'int64', ['B']);
  const uniforms = graph.input('uniforms', 'float32', ['B', 'C']);
  const perRow = (name: string): Tensor => graph.input(name, 'float32', ['B', 1]);
  const sampling: RowSampling = {
    temperature: perRow('temperature'),
    greedy: perRow('greedy'),
    ...(isFiltering ? { topK: perRow('topK'), topP: perRow('topP') } : {}),
  };
  const cached = (name: string): Tensor => graph.input(name, 'float32', ['B', kvHeads, 'P', headDim]);
  const frozen: KeyValues[] = Array.from({ length: layers }, (_, layer) => {
    const keys = cached(keysName(layer));
    return { keys, values: withOnes(cached(valuesName(layer))), mask: lengthMask(lengths, keys) };
  });
  const rows = first.shape[0]!;
  const none = (width: number): Tensor => zeros(graph, [rows, kvHeads, 0, width]);
  const columns = transpose(uniforms, [1, 0]);

  const result = loop({
    trips,
    tripsDim: 'C2',
    state: [
      first,
      reshape(lengths, [rows, 1]),
      ...frozen.map(() => none(headDim)),
      ...frozen.map(() => none(headDim + 1)),
    ],
    stateShapes: [
      [rows, 1],
      [rows, 1],
      ...frozen.map(() => [rows, kvHeads, 'R', headDim]),
      ...frozen.map(() => [rows, kvHeads, 'R', headDim + 1]),
    ],
    body: (counter, state) => {
      const [tokens, positions] = state as [Tensor, Tensor];
      const [oldKeys, oldValues] = [state.slice(2, 2 + layers), state.slice(2 + layers)];
      const [newKeys, newValues]: [Tensor[], Tensor[]] = [[], []];
      const attention: Attention = (query, key, value, layer) => {
        const keys = concat([oldKeys[layer]!, headsFirst(key)], 2);
        const values = concat([oldValues[layer]!, withOnes(headsFirst(value))], 2);
        newKeys.push(keys);
        newValues.push(values);
        return attendInParts(query, [frozen[layer]!, { keys, values, mask: null }]);
      };
      const hidden = transformer(config, weights, { tokens, positions, attention });
      const logits = matmul(reshape(hidden, [-1, config.hiddenSize]), head, { transposeB: true });
      const uniform = reshape(gather(columns, counter), [rows, 1]);
      const sampled = sampleTokens(logits, uniform, sampling);
      return {
        state: [sampled.tokens, following(positions, config.maxPositions), ...newKeys, ...newValues],
        scan: [sampled.tokens, sampled.logprobs],
      };
    },
  });
  const outputs: Record<string, Tensor> = { sampled: result.scan[0]!, logprobs: result.scan[1]! };
  for (let layer = 0; layer < layers; layer++) {
    outputs[`new.${keysName(layer)}`] = result.state[2 + layer]!;
    outputs[`new.${valuesName(layer)}`] = slice(result.state[2 + layers + layer]!, 3, 0, headDim);
  }
  return toOnnx(outputs);
}
