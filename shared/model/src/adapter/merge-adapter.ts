import { ForgeError } from '@forge/errors';
import type { NamedTensor, Parameters } from '@forge/weights';
import { factorNames, layerOfFactor } from './adapter-factors';

/**
 * The parameters of `base` with an adapter's update added: W + scale B A. Those that it leaves alone are shared, not
 * copied. Sums in float64, rounded once.
 *
 * @throws {ForgeError} SHAPE_MISMATCH naming the factor that the model has no layer for, or that does not fit it.
 */
export function mergeAdapter(base: Parameters, factors: Parameters, scale: number): Parameters {
  const merged: Parameters = new Map(base);
  for (const name of factors.keys()) {
    const layer = layerOfFactor(name);
    const weight = layer === null ? undefined : base.get(`${layer}.weight`);
    if (layer === null || weight?.shape.length !== 2)
      throw mismatch(name, 'the model has no such linear layer');
    const { down, up } = factorNames(layer);
    if (name === up && factors.has(down)) continue;
    const [a, b] = [factors.get(down), factors.get(up)];
    if (a === undefined || b === undefined) throw mismatch(name, 'the other factor of its layer is missing');
    merged.set(`${layer}.weight`, updated(layer, weight, a, b, scale));
  }
  return merged;
}

function updated(
  layer: string,
  weight: NamedTensor,
  a: NamedTensor,
  b: NamedTensor,
  scale: number,
): NamedTensor {
  const [outputs, inputs] = weight.shape as [number, number];
  const rank = a.shape[0]!;
  if (a.shape.join() !== [rank, inputs].join() || b.shape.join() !== [outputs, rank].join()) {
    const found = `factors [${a.shape.join(', ')}] and [${b.shape.join(', ')}]`;
    throw mismatch(layer, `found ${found}, but the layer is [${outputs}, ${inputs}]`);
  }
  const data = new Float32Array(weight.data.length);
  const row = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b.data[o * rank + r]!;
      if (factor === 0) continue;
      for (let i = 0; i < inputs; i++) row[i] = row[i]! + factor * a.data[r * inputs + i]!;
    }
    for (let i = 0; i < inputs; i++) data[o * inputs + i] = weight.data[o * inputs + i]! + row[i]!;
  }
  return { shape: weight.shape, data };
}

function mismatch(tensor: string, problem: string): ForgeError {
  return new ForgeError('SHAPE_MISMATCH', `adapter: ${tensor}: ${problem}`, { tensor });
}
