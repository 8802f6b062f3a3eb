import type { SeededAdapter } from '@forge/config';
import { elementCount, type Parameters } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import { seededUniforms } from '../seeded-uniforms';
import { adapterShapes } from './adapter-factors';

/**
 * A fresh adapter, which changes nothing yet: A uniform within 1 / sqrt(inputs), which is Kaiming's rule as PEFT applies
 * it, and B zero. A function of config and seed alone.
 *
 * @throws {ForgeError} CONFIG_INVALID for a rank above the width of a layer.
 * @see Hu et al. 2021, section 4.1
 */
export function initializeAdapter(config: ModelConfig, adapter: Omit<SeededAdapter, 'dropout'>): Parameters {
  const parameters: Parameters = new Map();
  for (const [name, shape] of adapterShapes(config, adapter)) {
    const data = new Float32Array(elementCount(shape));
    if (name.endsWith('.lora_A.weight')) {
      const [bound, next] = [1 / Math.sqrt(shape[1]!), seededUniforms(`${adapter.seed}/${name}`)];
      for (let i = 0; i < data.length; i++) data[i] = bound * (2 * next() - 1);
    }
    parameters.set(name, { shape, data });
  }
  return parameters;
}
