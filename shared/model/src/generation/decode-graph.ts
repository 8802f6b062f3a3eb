import {
  add,
  concat,
  div,
  gather,
  Graph,
  loop,
  matmul,
  minimum,
  reshape,
  slice,
  sliceBetween,
  transpose,
  zeros,
  type Tensor,
} from '@forge/graph';
import type { Parameters } from '@forge/weights';
import {
  attendInParts,
  cacheMask,
  positionsAlong,
  withOnes,
  type Attention,
  type KeyValues,
} from '../transformer/attention';
import { cacheNames, newName } from '../kv-cache/kv-cache';
import type { ModelConfig } from '../transformer/model-config';
import { following, sampleTokens, type RowSampling } from './sampling-graph';
import { headWeight, transformer } from '../transformer/transformer';
import { modelSource, weightSource, type FrozenBase, type WeightMode } from '../adapter/weight-source';

/** Keys and values as the cache holds them: [B, kvHeads, T, headDim]. */
const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3]);

/**
 * Prefill and decoding in one program, so that the engine holds the weights once: a loop in the graph whose trips each
 * sample a token per row. The first trip takes T tokens a row, the others the one that was sampled: decoding is many
 * trips with T = 1, prefill one trip with as many as the prompts have, of which the keys and values are wanted only. The
 * cache of earlier tokens is frozen and used from outside the loop; only the keys and values of the new tokens are
 * carried and given back.
 *
 * Inputs: trips int64 [], 1 where T > 1; tokens int64 [B, T] (the last tokens of each row, not in the cache yet); lengths
 * int64 [B] (tokens in the cache); uniforms [B, N]; given int64 [B, N] (tokens
 * that come whatever is drawn; below 0 they are drawn); temperature, greedy, topK and topP [B, 1]; filters int64 [] (1 where
 * a row has top-k or top-p, else 0); keys.L, values.L [C, kvHeads, P, headDim]; cacheOf int64 [B] (which of the C caches
 * a row has).
 * Outputs: sampled int64 and logprobs [trips, B, 1]; new.keys.L, new.values.L [B, kvHeads, T + trips - 1, headDim] of the
 * tokens that went in, so the last sampled token is not among them.
 */
export function decodeGraph(
  config: ModelConfig,
  parameters: Parameters,
  mode: WeightMode,
  base?: FrozenBase,
): Record<string, Tensor> {
  const { layers, heads, kvHeads, headDim, hiddenSize } = config;
  const graph = new Graph();
  const { weights, adapter } = modelSource(graph, weightSource(graph, parameters, mode), base);
  const head = headWeight(config, weights);
  const trips = graph.input('trips', 'int64', []);
  const first = graph.input('tokens', 'int64', ['B', 'T']);
  const lengths = graph.input('lengths', 'int64', ['B']);
  const uniforms = graph.input('uniforms', 'float32', ['B', 'N']);
  const given = graph.input('given', 'int64', ['B', 'N']);
  const perRow = (name: string): Tensor => graph.input(name, 'float32', ['B', 1]);
  const temperature = perRow('temperature');
  const sampling: RowSampling = {
    greedy: perRow('greedy'),
    filters: graph.input('filters', 'int64', []),
    topK: perRow('topK'),
    topP: perRow('topP'),
  };
  const cacheOf = graph.input('cacheOf', 'int64', ['B']);
  const cached = (name: string): Tensor => graph.input(name, 'float32', ['C', kvHeads, 'P', headDim]);
  const frozen: KeyValues[] = Array.from({ length: layers }, (_, layer) => ({
    keys: gather(cached(`keys.${layer}`), cacheOf),
    values: gather(withOnes(cached(`values.${layer}`)), cacheOf),
  }));
  const rows = first.shape[0]!;
  const none = (width: number): Tensor => zeros(graph, [rows, kvHeads, 0, width]);
  const [uniformColumns, givenColumns] = [transpose(uniforms, [1, 0]), transpose(given, [1, 0])];
  // Padding may lie behind the last position.
  const positions = minimum(
    add(reshape(lengths, [rows, 1]), positionsAlong(first, 'T')),
    config.maxPositions - 1,
  );

  const result = loop({
    trips,
    tripsDim: 'trips',
    state: [first, positions, ...frozen.map(() => none(headDim)), ...frozen.map(() => none(headDim + 1))],
    stateShapes: [
      [rows, 'S'],
      [rows, 'S'],
      ...frozen.map(() => [rows, kvHeads, 'R', headDim]),
      ...frozen.map(() => [rows, kvHeads, 'R', headDim + 1]),
    ],
    body: (counter, state) => {
      const [tokens, at] = state as [Tensor, Tensor];
      const [oldKeys, oldValues] = [state.slice(2, 2 + layers), state.slice(2 + layers)];
      const [newKeys, newValues]: [Tensor[], Tensor[]] = [[], []];
      let mask: Tensor | null = null;
      const attention: Attention = (query, key, value, layer) => {
        const keys = concat([oldKeys[layer]!, headsFirst(key)], 2);
        const values = concat([oldValues[layer]!, withOnes(headsFirst(value))], 2);
        newKeys.push(keys);
        newValues.push(values);
        mask ??= cacheMask({ lengths, cached: frozen[0]!.keys }, tokens, keys, heads / kvHeads);
        return attendInParts(query, [frozen[layer]!, { keys, values }], mask);
      };
      const hidden = transformer(config, weights, { tokens, positions: at, attention, adapter });
      const [uniform, fixed] = [uniformColumns, givenColumns].map((columns) =>
        reshape(gather(columns, counter), [rows, 1]),
      ) as [Tensor, Tensor];
      const last = div(reshape(lastOf(hidden), [rows, hiddenSize]), temperature);
      const sampled = sampleTokens(matmul(last, head, { transposeB: true }), uniform, {
        ...sampling,
        given: fixed,
      });
      return {
        state: [sampled.tokens, following(lastOf(at), config.maxPositions), ...newKeys, ...newValues],
        scan: [sampled.tokens, sampled.logprobs],
      };
    },
  });
  const outputs: Record<string, Tensor> = { sampled: result.scan[0]!, logprobs: result.scan[1]! };
  cacheNames(layers).forEach((name, i) => {
    const grown = result.state[2 + i]!;
    outputs[newName(name)] = i < layers ? grown : slice(grown, 3, 0, headDim);
  });
  return outputs;
}

/** The last position of each row, [B, S, ...] -> [B, 1, ...]. */
function lastOf(x: Tensor): Tensor {
  const last = x.graph.constant([-1], [1], 'int64');
  return sliceBetween(x, 1, last, null, 1);
}
