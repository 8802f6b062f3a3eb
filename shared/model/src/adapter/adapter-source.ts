import { matmul, mul, type Tensor } from '@forge/graph';
import type { AdapterSource } from '../transformer/transformer';
import { adapterScale, factorNames, isTarget, type AdapterShape } from './adapter-factors';

/** The adapter whose factors are the tensors of `weights`, by PEFT's names: (alpha / rank) B (A x). */
export function adapterSource(adapter: AdapterShape, weights: (name: string) => Tensor): AdapterSource {
  const scale = adapterScale(adapter);
  return (layer, x) => {
    if (!isTarget(adapter, layer)) return null;
    const { down, up } = factorNames(layer);
    const narrow = mul(matmul(x, weights(down), { transposeB: true }), scale);
    return matmul(narrow, weights(up), { transposeB: true });
  };
}
