import { elementCount, type Parameters } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import { seededUniforms } from '../seeded-uniforms';
import { parameterShapes } from '../transformer/parameter-shapes';

/**
 * Fresh parameters: matrices normal with `config.initializerRange`, those that write to the residual stream
 * (o_proj, down_proj) divided by sqrt(2 * layers) so its variance does not grow with depth; norms one; biases zero.
 * A function of config and seed alone; each tensor depends only on its name, not on the others.
 *
 * @see GPT-2, section 2.3, for the scaled residual projections.
 */
export function initializeParameters(config: ModelConfig, seed: number): Parameters {
  const residualScale = 1 / Math.sqrt(2 * config.layers);
  const parameters: Parameters = new Map();
  for (const [name, shape] of parameterShapes(config)) {
    const data = new Float32Array(elementCount(shape));
    if (name.endsWith('norm.weight')) data.fill(1);
    else if (!name.endsWith('.bias')) {
      const isResidual = name.endsWith('o_proj.weight') || name.endsWith('down_proj.weight');
      fillNormal(data, config.initializerRange * (isResidual ? residualScale : 1), `${seed}/${name}`);
    }
    parameters.set(name, { shape, data });
  }
  return parameters;
}

/** Normal values by Box-Muller over the uniforms of `key`. */
function fillNormal(data: Float32Array, deviation: number, key: string): void {
  const next = seededUniforms(key);
  for (let i = 0; i < data.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    data[i] = radius * Math.cos(angle);
    if (i + 1 < data.length) data[i + 1] = radius * Math.sin(angle);
  }
}
