import { add, concat, gather, mul, reshape, slice, type Graph, type Tensor } from '@forge/graph';
import type { ModelConfig } from './model-config';

/** Cosines and sines that rotate a head, the sine of the first half negated. Shapes: [B, T, 1, headDim]. */
export interface Rotation {
  readonly cosine: Tensor;
  readonly signedSine: Tensor;
}

/**
 * Radians per position of each pair of head dimensions; pair i is dimensions i and i + headDim / 2.
 *
 * @see https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_rope_utils.py
 */
export function rotaryFrequencies({ headDim, rope: { theta, scaling } }: ModelConfig): Float64Array {
  const plain = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  switch (scaling.type) {
    case 'none':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3': {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
      return plain.map((frequency) => {
        const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
        const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return frequency * (kept + (1 - kept) / factor);
      });
    }
    case 'yarn': {
      const dimensionOfTurns = (turns: number): number =>
        (headDim * Math.log(scaling.originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [first, last] = [dimensionOfTurns(scaling.betaFast), dimensionOfTurns(scaling.betaSlow)];
      const low = Math.max(0, scaling.truncate ? Math.floor(first) : first);
      const high = Math.min(headDim - 1, scaling.truncate ? Math.ceil(last) : last);
      const width = high === low ? 0.001 : high - low;
      return plain.map((frequency, i) => {
        const interpolated = Math.min(1, Math.max(0, (i - low) / width));
        return frequency * (1 - interpolated + interpolated / scaling.factor);
      });
    }
  }
}

/** The rotation at `positions` (int64 [B, T]), from tables over all positions of the model. */
export function rotationAt(graph: Graph, config: ModelConfig, positions: Tensor): Rotation {
  const { headDim, maxPositions } = config;
  const frequencies = rotaryFrequencies(config);
  const scale = config.rope.scaling.type === 'yarn' ? config.rope.scaling.attentionFactor : 1;
  const table = (wave: (angle: number) => number): Tensor => {
    const half = frequencies.length;
    const values = new Float32Array(maxPositions * half);
    for (let p = 0, at = 0; p < maxPositions; p++) {
      for (let i = 0; i < half; i++, at++) values[at] = scale * wave(p * frequencies[i]!);
    }
    return gather(graph.constant(values, [maxPositions, half]), positions);
  };
  const [rows = 1, columns = 1] = positions.shape;
  const perHead = (x: Tensor): Tensor => reshape(x, [rows, columns, 1, headDim]);
  const cosine = table(Math.cos);
  const sine = table(Math.sin);
  return {
    cosine: perHead(concat([cosine, cosine], 2)),
    signedSine: perHead(concat([mul(sine, -1), sine], 2)),
  };
}

/** `x` [B, T, heads, headDim] rotated, the two halves of a head paired as Hugging Face checkpoints have them. */
export function rotate(x: Tensor, { cosine, signedSine }: Rotation, headDim: number): Tensor {
  const swapped = concat([slice(x, 3, headDim / 2, headDim), slice(x, 3, 0, headDim / 2)], 3);
  return add(mul(x, cosine), mul(swapped, signedSine));
}
