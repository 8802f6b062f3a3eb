import type { AdapterConfig } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { ModelConfig } from '../transformer/model-config';
import { parameterShapes } from '../transformer/parameter-shapes';

/** The part of an adapter's config that decides what is computed. */
export type AdapterShape = Pick<AdapterConfig, 'rank' | 'alpha' | 'targets'>;

/** PEFT's name of the model that it wraps. */
const PREFIX = 'base_model.model.';
const FACTOR = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/** PEFT's names of the two factors of a layer, [rank, inputs] and [outputs, rank]. */
export function factorNames(layer: string): { down: string; up: string } {
  return { down: `${PREFIX}${layer}.lora_A.weight`, up: `${PREFIX}${layer}.lora_B.weight` };
}

/** The layer that a tensor of PEFT's name is a factor of; null for any other tensor. */
export function layerOfFactor(name: string): string | null {
  return FACTOR.exec(name)?.[1] ?? null;
}

/** Whether a layer, by its whole name, is among the targets. */
export function isTarget({ targets }: Pick<AdapterShape, 'targets'>, layer: string): boolean {
  return (targets as readonly string[]).includes(layer.slice(layer.lastIndexOf('.') + 1));
}

/** The factor that an update is multiplied by. */
export function adapterScale({ alpha, rank }: Pick<AdapterShape, 'alpha' | 'rank'>): number {
  return alpha / rank;
}

/** The layers that an adapter changes, with the shape of each, [outputs, inputs], in the order of the forward pass. */
export function adaptedLayers(
  config: ModelConfig,
  adapter: Pick<AdapterShape, 'targets'>,
): Map<string, readonly [number, number]> {
  const layers = new Map<string, readonly [number, number]>();
  for (const [name, shape] of parameterShapes(config)) {
    const layer = name.replace(/\.weight$/, '');
    if (shape.length === 2 && isTarget(adapter, layer)) layers.set(layer, shape as [number, number]);
  }
  return layers;
}

/**
 * PEFT's name and shape of every tensor of an adapter, in the order of the forward pass.
 *
 * @throws {ForgeError} CONFIG_INVALID for a rank above the width of a layer: more could not make its update any richer.
 */
export function adapterShapes(config: ModelConfig, adapter: AdapterShape): Map<string, readonly number[]> {
  const { rank } = adapter;
  const shapes = new Map<string, readonly number[]>();
  for (const [layer, [outputs, inputs]] of adaptedLayers(config, adapter)) {
    const width = Math.min(outputs, inputs);
    if (rank > width) {
      const message = `adapter.rank: found ${rank}, but ${layer} is ${width} wide; take ${width} at most, or leave ${layer.slice(layer.lastIndexOf('.') + 1)} out of adapter.targets`;
      throw new ForgeError('CONFIG_INVALID', message, { field: 'adapter.rank', layer, rank, width });
    }
    const { down, up } = factorNames(layer);
    shapes.set(down, [rank, inputs]);
    shapes.set(up, [outputs, rank]);
  }
  return shapes;
}

/** Number of parameters of an adapter. */
export function adapterParameterCount(config: ModelConfig, adapter: AdapterShape): number {
  let count = 0;
  for (const [outputs, inputs] of adaptedLayers(config, adapter).values())
    count += adapter.rank * (outputs + inputs);
  return count;
}
