import { Graph, grad, linearLogprobs, linearLogprobsOf, stopGradient, type Tensor } from '@forge/graph';
import { lossResult, type Loss } from '@forge/rl';
import type { Parameters } from '@forge/weights';
import { modelSource, type FrozenBase } from '../adapter/weight-source';
import type { ModelConfig } from '../transformer/model-config';
import { headWeight, transformer } from '../transformer/transformer';
import { parameterInputs, sourceOf, termInputs, tokenInputs } from './graph-inputs';

export interface TrainGraphOptions {
  config: ModelConfig;
  /** The model whose adapter is trained, without a gradient of its own; left out: the parameters are all of it. */
  base?: FrozenBase | undefined;
  loss: Loss;
  /** Log-probs are those of logits / temperature: the temperature the episodes were sampled at. */
  temperature: number;
  /** Rows of logits that exist at a time. */
  logitsChunk: number;
  /** Keep the logits of all trained tokens for the backward pass, in place of chunks. */
  keepLogits?: boolean;
  /** Recompute each layer's activations in the backward pass. */
  recompute: boolean;
  /** Set when a batch is several updates: the loss's `old` is an input then, and else the log-probs without gradient. */
  feedsOld?: boolean;
  /** Tokens of the reference that the loss looks at in each place; 0 unless given. */
  referenceTop?: number;
}

/** The outputs of the graph per micro-batch; the losses and metrics of all micro-batches add up to the batch's. */
export interface TrainOutputs {
  loss: Tensor;
  /** Log-probs, or values, of the trained tokens in order of position, [N]. */
  perToken: Tensor;
  metrics: Record<string, Tensor>;
  /** By parameter name. */
  gradients: Record<string, Tensor>;
}

/**
 * Forward and backward pass over one micro-batch as one graph. Inputs are the parameters by name and the fields of
 * `MicroBatch` by name, with B, D, T and N symbolic, and the counts [] of the whole batch.
 *
 * Only trained positions go through the LM head and through what follows the last layer's attention.
 */
export function buildTrainGraph(parameters: Parameters, options: TrainGraphOptions): TrainOutputs {
  const {
    config,
    base,
    temperature,
    logitsChunk,
    keepLogits = false,
    recompute,
    feedsOld = false,
    referenceTop = 0,
  } = options;
  const graph = new Graph();
  const weights = parameterInputs(graph, parameters);
  const { weights: source, adapter } = modelSource(graph, sourceOf(weights), base);
  const { tokens, positions, select, spread } = tokenInputs(graph);
  const targets = graph.input('targets', 'int64', ['N']);
  const hidden = transformer(config, source, { tokens, positions, select, adapter, recompute });
  const weight = headWeight(config, source);
  const chunks = { chunk: logitsChunk, temperature };
  const head = linearLogprobs(hidden, weight, targets, { ...chunks, keep: keepLogits });
  const topInput = (name: string, dtype: 'int64' | 'float32'): Tensor =>
    graph.input(name, dtype, ['N', referenceTop]);
  const logprobs = spread(head.logprobs);
  const terms = termInputs(graph);
  const { loss, metrics } = lossResult(
    options.loss({
      ...terms,
      logprobs,
      entropy: spread(head.entropy),
      top:
        referenceTop === 0
          ? null
          : {
              policy: spread(linearLogprobsOf(hidden, weight, topInput('topTokens', 'int64'), chunks)),
              reference: spread(topInput('topReference', 'float32')),
            },
      old: feedsOld ? terms.old : stopGradient(logprobs),
      values: graph.input('values', 'float32', ['B', 'T']),
    }),
  );
  return { loss, perToken: head.logprobs, metrics, gradients: gradientsIn(loss, weights) };
}

/** d loss / d parameter, by name. */
export function gradientsIn(loss: Tensor, weights: ReadonlyMap<string, Tensor>): Record<string, Tensor> {
  const gradients = grad(loss, [...weights.values()]);
  return Object.fromEntries([...weights.keys()].map((name, i) => [name, gradients[i]!]));
}
