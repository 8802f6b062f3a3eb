import {
  concat,
  gather,
  Graph,
  loop,
  matmul,
  reshape,
  slice,
  transpose,
  zeros,
  type Tensor,
} from '@forge/graph';
import type { Parameters } from '@forge/weights';
import {
  attendInParts,
  groupedCausalMask,
  lengthMask,
  withOnes,
  type Attention,
  type KeyValues,
} from '../transformer/attention';
import { cacheNames } from './kv-cache';
import type { ModelConfig } from '../transformer/model-config';
import { following, sampleTokens, type RowSampling } from './sampling-graph';
import { headWeight, transformer } from '../transformer/transformer';
import { weightSource, type WeightMode } from './weight-source';

/** The results of a graph, by name. */
type Outputs = Record<string, Tensor>;

/** Keys and values as the cache holds them: [B, kvHeads, T, headDim]. */
const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3]);

/**
 * Prefill: the keys and values of prompts.
 *
 * Inputs: tokens int64 [B, T], padded on the right. Outputs: keys.L, values.L [B, kvHeads, T, headDim] by layer.
 */
export function prefillGraph(config: ModelConfig, parameters: Parameters, mode: WeightMode): Outputs {
  const graph = new Graph();
  const weights = weightSource(graph, parameters, mode);
  const tokens = graph.input('tokens', 'int64', ['B', 'T']);
  const positions = graph.input('positions', 'int64', ['B', 'T']);
  const mask = groupedCausalMask(tokens, config.heads / config.kvHeads);
  const outputs: Outputs = {};
  const attention: Attention = (query, key, value, layer) => {
    const [keys, values] = [headsFirst(key), headsFirst(value)];
    outputs[`keys.${layer}`] = keys;
    outputs[`values.${layer}`] = values;
    return attendInParts(query, [{ keys, values: withOnes(values), mask }]);
  };
  transformer(config, weights, { tokens, positions, attention });
  return outputs;
}

export interface DecodeVariant {
  /** Some row has top-k or top-p. */
  isFiltering: boolean;
  /** No row goes on afterwards, so the new keys and values are not needed. */
  isFinal: boolean;
}

/** Padded tokens of one prefill run at most, unless one sequence alone has more. */
const PREFILL_TOKENS = 8_192;
/** Attention scores of one layer in one prefill run at most, unless one sequence alone has more. */
const PREFILL_SCORES = 16 * 2 ** 20;
/** Sequences up to this length share a run whatever their lengths: padding them costs less than another run. */
const PREFILL_NARROW = 32;

/** The sequences cut into runs of similar length that each stay within the memory bounds; none may be empty. */
export function prefillRuns<T extends { readonly tokens: readonly number[] }>(
  sequences: readonly T[],
  heads: number,
): T[][] {
  const runs: T[][] = [];
  let width = 0;
  for (const sequence of [...sequences].sort((a, b) => b.tokens.length - a.tokens.length)) {
    const { length } = sequence.tokens;
    const run = runs.at(-1) ?? [];
    const padded = (run.length + 1) * width;
    const isFull = padded > PREFILL_TOKENS || padded * width * heads > PREFILL_SCORES;
    const isMuchShorter = width > PREFILL_NARROW && 2 * length < width;
    if (run.length > 0 && !isFull && !isMuchShorter) {
      run.push(sequence);
      continue;
    }
    runs.push([sequence]);
    width = length;
  }
  return runs;
}

/**
 * Decoding: a loop in the graph that samples `trips` tokens per row. The cache of earlier tokens is frozen and used
 * from outside the loop; only the keys and values of the new tokens are carried and given back.
 *
 * Inputs: trips int64 []; tokens int64 [B, 1] (the last token of each row, not in the cache yet); lengths int64 [B]
 * (tokens in the cache); uniforms [B, N]; temperature, greedy and, in the filtering variant, topK and topP [B, 1];
 * keys.L, values.L [C, kvHeads, P, headDim]; cacheOf int64 [B] (which of the C caches a row has).
 * Outputs: sampled int64 and logprobs [trips, B, 1]; and unless the variant is final, new.keys.L, new.values.L
 * [B, kvHeads, trips, headDim] of the tokens that went in, so the last sampled token is not among them.
 */
export function decodeGraph(
  config: ModelConfig,
  parameters: Parameters,
  mode: WeightMode,
  variant: DecodeVariant,
): Outputs {
  const { layers, kvHeads, headDim } = config;
  const graph = new Graph();
  const weights = weightSource(graph, parameters, mode);
  const head = headWeight(config, weights);
  const trips = graph.input('trips', 'int64', []);
  const first = graph.input('tokens', 'int64', ['B', 1]);
  const lengths = graph.input('lengths', 'int64', ['B']);
  const uniforms = graph.input('uniforms', 'float32', ['B', 'N']);
  const perRow = (name: string): Tensor => graph.input(name, 'float32', ['B', 1]);
  const sampling: RowSampling = {
    temperature: perRow('temperature'),
    greedy: perRow('greedy'),
    ...(variant.isFiltering ? { topK: perRow('topK'), topP: perRow('topP') } : {}),
  };
  const cacheOf = graph.input('cacheOf', 'int64', ['B']);
  const cached = (name: string): Tensor => graph.input(name, 'float32', ['C', kvHeads, 'P', headDim]);
  const frozen: KeyValues[] = Array.from({ length: layers }, (_, layer) => {
    const keys = gather(cached(`keys.${layer}`), cacheOf);
    const values = gather(withOnes(cached(`values.${layer}`)), cacheOf);
    return { keys, values, mask: lengthMask(lengths, keys) };
  });
  const rows = first.shape[0]!;
  const none = (width: number): Tensor => zeros(graph, [rows, kvHeads, 0, width]);
  const columns = transpose(uniforms, [1, 0]);

  const result = loop({
    trips,
    tripsDim: 'trips',
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
  const outputs: Outputs = { sampled: result.scan[0]!, logprobs: result.scan[1]! };
  if (variant.isFinal) return outputs;
  cacheNames(layers).forEach((name, i) => {
    const grown = result.state[2 + i]!;
    outputs[`new.${name}`] = i < layers ? grown : slice(grown, 3, 0, headDim);
  });
  return outputs;
}
