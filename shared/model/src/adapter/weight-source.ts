import type { HostTensor } from '@forge/engine';
import type { Graph, Tensor } from '@forge/graph';
import type { Parameters } from '@forge/weights';
import type { AdapterShape } from './adapter-factors';
import { adapterSource } from './adapter-source';
import type { AdapterSource, WeightSource } from '../transformer/transformer';

/**
 * The place of the weights: in the graph (prepacked, faster), or in the inputs of every run (no new session for new ones).
 *
 * Edge: on several threads, onnxruntime cuts the sums of a product with weights that are not prepacked in one way for
 * small batches and in another for large ones. So with 'inputs', a rollout is independent of its batch to the bit on one
 * thread only; with 'initializers' on any number.
 */
export type WeightMode = 'initializers' | 'inputs';

/** The parameters as tensors of the graph, each made once. */
export function weightSource(graph: Graph, parameters: Parameters, mode: WeightMode): WeightSource {
  const made = new Map<string, Tensor>();
  return (name) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const { shape, data } = parameters.get(name)!;
    const tensor =
      mode === 'initializers' ? graph.weight(name, data, shape) : graph.input(name, 'float32', shape);
    made.set(name, tensor);
    return tensor;
  };
}

/** A model that stays as it is beside an adapter whose factors are the parameters. */
export interface FrozenBase {
  parameters: Parameters;
  adapter: AdapterShape;
}

/**
 * The weights of a graph, of which `own` gives the parameters: all of them, or, with a frozen base, that as constants and
 * `own` as the factors of its adapter.
 */
export function modelSource(
  graph: Graph,
  own: WeightSource,
  base?: FrozenBase,
): { weights: WeightSource; adapter?: AdapterSource } {
  if (base === undefined) return { weights: own };
  return {
    weights: weightSource(graph, base.parameters, 'initializers'),
    adapter: adapterSource(base.adapter, own),
  };
}

/** The inputs of a run that are weights; they share the memory of `parameters`. */
export function weightFeeds(parameters: Parameters): Record<string, HostTensor> {
  return Object.fromEntries(
    [...parameters].map(([name, { shape, data }]) => [name, { dtype: 'float32', shape, data }]),
  );
}
