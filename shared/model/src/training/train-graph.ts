import {
  gatherRows,
  Graph,
  grad,
  linearLogprobs,
  reshape,
  spreadRows,
  stopGradient,
  type Tensor,
} from '@forge/graph';
import { lossResult, type Loss } from '@forge/rl';
import type { Parameters } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import { headWeight, transformer } from '../transformer/transformer';

export interface TrainGraphOptions {
  config: ModelConfig;
  loss: Loss;
  /** Log-probs are those of logits / temperature: the temperature the episodes were sampled at. */
  temperature: number;
  /** Rows of logits that exist at a time. */
  logitsChunk: number;
  /** Keep the logits of all trained tokens for the backward pass, in place of chunks. */
  keepLogits?: boolean;
  /** Recompute each layer's activations in the backward pass. */
  recompute: boolean;
}

/** The outputs of the graph per micro-batch; the losses and metrics of all micro-batches add up to the batch's. */
export interface TrainOutputs {
  loss: Tensor;
  /** Log-probs of the trained tokens in order of position, [N]. */
  logprobs: Tensor;
  metrics: Record<string, Tensor>;
  /** By parameter name. */
  gradients: Record<string, Tensor>;
}

/**
 * Forward and backward pass over one micro-batch as one graph. Inputs are the parameters by name and the fields of
 * `MicroBatch` by name, with B, T and N symbolic, and `tokenCount` and `sequenceCount` [] of the whole batch.
 *
 * Only trained positions go through the LM head and through what follows the last layer's attention.
 */
export function buildTrainGraph(parameters: Parameters, options: TrainGraphOptions): TrainOutputs {
  const { config, temperature, logitsChunk, keepLogits = false } = options;
  const graph = new Graph();
  const weights = new Map(
    [...parameters].map(([name, { shape }]) => [name, graph.input(name, 'float32', shape)] as const),
  );
  const weight = (name: string): Tensor => weights.get(name)!;
  const tokens = graph.input('tokens', 'int64', ['B', 'T']);
  const positions = graph.input('positions', 'int64', ['B', 'T']);
  const trainedPositions = graph.input('trainedPositions', 'int64', ['N']);
  const trainedIndex = graph.input('trainedIndex', 'int64', ['B', 'T']);
  const targets = graph.input('targets', 'int64', ['N']);

  const select = (x: Tensor): Tensor =>
    gatherRows(reshape(x, [-1, x.shape.at(-1)!]), trainedPositions, trainedIndex);
  const hidden = transformer(config, weight, { tokens, positions, select, recompute: options.recompute });
  const head = linearLogprobs(hidden, headWeight(config, weight), targets, {
    chunk: logitsChunk,
    temperature,
    keep: keepLogits,
  });

  const perToken = (name: string): Tensor => graph.input(name, 'float32', ['B', 'T']);
  const total = (name: string): Tensor => graph.input(name, 'float32', []);
  const logprobs = spreadRows(head.logprobs, trainedIndex, trainedPositions);
  const result = lossResult(
    options.loss({
      logprobs,
      entropy: spreadRows(head.entropy, trainedIndex, trainedPositions),
      behaviour: perToken('behaviour'),
      old: stopGradient(logprobs),
      reference: perToken('reference'),
      advantages: perToken('advantages'),
      lag: perToken('lag'),
      values: perToken('values'),
      oldValues: perToken('oldValues'),
      returns: perToken('returns'),
      mask: perToken('mask'),
      sequenceIds: graph.input('sequenceIds', 'float32', ['B']),
      tokenCount: total('tokenCount'),
      sequenceCount: total('sequenceCount'),
    }),
  );
  const names = [...weights.keys()];
  const gradients = grad(result.loss, [...weights.values()]);
  return {
    loss: result.loss,
    logprobs: head.logprobs,
    metrics: result.metrics,
    gradients: Object.fromEntries(names.map((name, i) => [name, gradients[i]!])),
  };
}
