import { gather, gatherRows, reshape, spreadRows, type Graph, type Tensor } from '@forge/graph';
import type { LossTerms } from '@forge/rl';
import type { Parameters } from '@forge/weights';
import type { WeightSource } from '../transformer/transformer';

/** The terms of a loss that are inputs of its graph, rather than computed by it. */
export type FedTerms = Omit<LossTerms, 'logprobs' | 'entropy' | 'values' | 'top'>;

/** Inputs of a graph for the parameters, by name. */
export function parameterInputs(graph: Graph, parameters: Parameters): Map<string, Tensor> {
  return new Map(
    [...parameters].map(([name, { shape }]) => [name, graph.input(name, 'float32', shape)] as const),
  );
}

export function sourceOf(weights: ReadonlyMap<string, Tensor>): WeightSource {
  return (name) => weights.get(name)!;
}

/** The tokens of a micro-batch, and the ways from all positions to the trained ones and back. */
export interface TokenInputs {
  tokens: Tensor;
  positions: Tensor;
  /** [D, T, width] -> [N, width] */
  select: (x: Tensor) => Tensor;
  /** [N, ...] -> [B, T, ...], zeros at positions that are not trained; episodes alike have the row they share. */
  spread: (x: Tensor) => Tensor;
}

export function tokenInputs(graph: Graph): TokenInputs {
  const trainedPositions = graph.input('trainedPositions', 'int64', ['N']);
  const trainedIndex = graph.input('trainedIndex', 'int64', ['D', 'T']);
  const rowOf = graph.input('rowOf', 'int64', ['B']);
  return {
    tokens: graph.input('tokens', 'int64', ['D', 'T']),
    positions: graph.input('positions', 'int64', ['D', 'T']),
    select: (x) => gatherRows(reshape(x, [-1, x.shape.at(-1)!]), trainedPositions, trainedIndex),
    spread: (x) => gather(spreadRows(x, trainedIndex, trainedPositions), rowOf),
  };
}

export function termInputs(graph: Graph): FedTerms {
  const perToken = (name: string): Tensor => graph.input(name, 'float32', ['B', 'T']);
  const total = (name: string): Tensor => graph.input(name, 'float32', []);
  return {
    behaviour: perToken('behaviour'),
    old: perToken('old'),
    reference: perToken('reference'),
    advantages: perToken('advantages'),
    lag: perToken('lag'),
    oldValues: perToken('oldValues'),
    returns: perToken('returns'),
    mask: perToken('mask'),
    sequenceIds: graph.input('sequenceIds', 'float32', ['B']),
    rolloutTokens: graph.input('rolloutTokens', 'float32', ['B']),
    tokenCount: total('tokenCount'),
    sequenceCount: total('sequenceCount'),
    rolloutCount: total('rolloutCount'),
  };
}
