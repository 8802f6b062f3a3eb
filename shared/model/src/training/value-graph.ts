import { Graph, mul } from '@forge/graph';
import { lossResult, type CriticOptions } from '@forge/rl';
import type { Parameters } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import { parameterCount, SCORE_HEAD } from '../transformer/parameter-shapes';
import { scalarHead, transformer } from '../transformer/transformer';
import { parameterInputs, sourceOf, termInputs, tokenInputs } from './graph-inputs';
import { gradientsIn, type TrainOutputs } from './train-graph';

const LM_HEAD = 'lm_head.weight';

/** The parameters of a value model at its start: those of the policy but its LM head, and a scalar head of zeros. */
export function valueParameters({ hiddenSize }: ModelConfig, policy: Parameters): Parameters {
  const body = [...policy].filter(([name]) => name !== LM_HEAD);
  const head = { shape: [1, hiddenSize], data: new Float32Array(hiddenSize) };
  return new Map([...body, [SCORE_HEAD, head]]);
}

/** Number of parameters of a policy's value model. */
export function valueParameterCount(config: ModelConfig): number {
  return parameterCount({ ...config, head: 'score' });
}

/**
 * Forward and backward pass of a value model over one micro-batch; inputs as of `buildTrainGraph`. The value of a position is
 * that of the state in which the next token is chosen.
 */
export function buildValueGraph(
  parameters: Parameters,
  { config, critic, recompute }: { config: ModelConfig; critic: CriticOptions; recompute: boolean },
): TrainOutputs {
  const graph = new Graph();
  const weights = parameterInputs(graph, parameters);
  const { tokens, positions, select, spread } = tokenInputs(graph);
  const source = sourceOf(weights);
  const values = scalarHead(transformer(config, source, { tokens, positions, select, recompute }), source);
  const terms = termInputs(graph);
  const { loss, metrics } = lossResult(
    critic.loss({
      ...terms,
      values: spread(values),
      logprobs: terms.old,
      entropy: mul(terms.mask, 0),
      top: null,
    }),
  );
  return { loss, perToken: values, metrics, gradients: gradientsIn(loss, weights) };
}
