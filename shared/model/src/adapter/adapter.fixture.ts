import type { Parameters } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import type { AdapterShape } from './adapter-factors';
import { initializeAdapter } from './initialize-adapter';

export const wholeAdapter: AdapterShape = {
  rank: 3,
  alpha: 6,
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};

/** An adapter that has been trained: its B is not zero. */
export function trainedAdapter(config: ModelConfig, adapter = wholeAdapter, seed = 1): Parameters {
  const factors = initializeAdapter(config, { ...adapter, seed });
  for (const [name, { data }] of factors)
    if (name.includes('.lora_B.'))
      data.forEach((_, i) => (data[i] = 0.3 * (((i + 1) * 0.6180339887 + seed * 0.7548776662) % 1) - 0.15));
  return factors;
}
