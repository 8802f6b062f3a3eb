import { add, concat, gather, mul, reshape, swapHalves, type Graph, type Tensor } from '@forge/graph';
import type { ModelConfig } from './model-config';
import type { RopeScaling } from './rope-scaling';

/** Cosines and sines that rotate a head, the sine of the first half negated. Shapes: [B, T, 1, headDim]. */
export interface Rotation {
  readonly cosine: Tensor;
  readonly signedSine: Tensor;
}

const { fround } = Math;
const TURN = fround(2 * Math.PI);

/**
 * Radians per position of each pair of head dimensions; pair i is dimensions i and i + headDim / 2.
 *
 * Rounded to float32 after every operation, as transformers does: models are trained with these frequencies, and at
 * position 32,000 their angles are 1e-3 away from the exact ones.
 *
 * @see https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_rope_utils.py
 */
export function rotaryFrequencies({ headDim, rope: { theta, scaling } }: ModelConfig): Float32Array {
  const inverse = Float32Array.from(
    { length: headDim / 2 },
    (_, i) => fround(theta) ** fround((2 * i) / headDim),
  );
  const plain = inverse.map((value) => 1 / value);
  switch (scaling.type) {
    case 'none':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / fround(scaling.factor));
    case 'llama3':
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
    case 'yarn': {
      const ramp = yarnRamp(headDim, theta, scaling);
      return plain.map((frequency, i) => {
        const kept = fround(1 - ramp[i]!);
        const stretched = fround(1 / fround(fround(scaling.factor) * inverse[i]!));
        return fround(stretched * fround(1 - kept)) + fround(frequency * kept);
      });
    }
  }
}

function llama3Frequency(frequency: number, scaling: RopeScaling & { type: 'llama3' }): number {
  const { lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = scaling;
  const factor = fround(scaling.factor);
  const wavelength = fround(TURN / frequency);
  if (wavelength > fround(originalMaxPositions / lowFrequencyFactor)) return frequency / factor;
  if (wavelength < fround(originalMaxPositions / highFrequencyFactor)) return frequency;
  const turns = fround(originalMaxPositions / wavelength);
  const kept = fround(
    fround(turns - fround(lowFrequencyFactor)) / fround(highFrequencyFactor - lowFrequencyFactor),
  );
  return fround(fround(fround(1 - kept) * frequency) / factor) + fround(kept * frequency);
}

/** The share of the factor by which each pair's wavelength is stretched: 0 not at all, 1 by the whole factor. */
function yarnRamp(headDim: number, theta: number, scaling: RopeScaling & { type: 'yarn' }): Float32Array {
  const pairOfTurns = (turns: number): number =>
    (headDim * Math.log(scaling.originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [pairOfTurns(scaling.betaFast), pairOfTurns(scaling.betaSlow)];
  const low = Math.max(0, scaling.truncate ? Math.floor(first) : first);
  const high = Math.min(headDim - 1, scaling.truncate ? Math.ceil(last) : last);
  const width = fround(high === low ? 0.001 : high - low);
  return Float32Array.from({ length: headDim / 2 }, (_, i) =>
    Math.min(1, Math.max(0, fround(fround(i - fround(low)) / width))),
  );
}

/** The waves at every position of the model, [maxPositions, headDim / 2] each. */
export function rotaryTables(config: ModelConfig): { cosines: Float32Array; sines: Float32Array } {
  const { maxPositions, rope } = config;
  const frequencies = rotaryFrequencies(config);
  const scale = rope.scaling.type === 'yarn' ? rope.scaling.attentionFactor : 1;
  const half = frequencies.length;
  const [cosines, sines] = [new Float32Array(maxPositions * half), new Float32Array(maxPositions * half)];
  for (let position = 0, at = 0; position < maxPositions; position++) {
    for (let i = 0; i < half; i++, at++) {
      const angle = fround(position * frequencies[i]!);
      cosines[at] = scale * Math.cos(angle);
      sines[at] = scale * Math.sin(angle);
    }
  }
  return { cosines, sines };
}

/** The rotation at `positions` (int64 [B, T]), from tables over all positions of the model. */
export function rotationAt(graph: Graph, config: ModelConfig, positions: Tensor): Rotation {
  const { headDim, maxPositions } = config;
  const { cosines, sines } = rotaryTables(config);
  const at = (table: Float32Array): Tensor =>
    gather(graph.constant(table, [maxPositions, headDim / 2]), positions);
  const [rows = 1, columns = 1] = positions.shape;
  const perHead = (x: Tensor): Tensor => reshape(x, [rows, columns, 1, headDim]);
  const [cosine, sine] = [at(cosines), at(sines)];
  return {
    cosine: perHead(concat([cosine, cosine], 2)),
    signedSine: perHead(concat([mul(sine, -1), sine], 2)),
  };
}

/** `x` [B, T, heads, headDim] rotated, the two halves of a head paired as Hugging Face checkpoints have them. */
export function rotate(x: Tensor, { cosine, signedSine }: Rotation): Tensor {
  return add(mul(x, cosine), mul(swapHalves(x), signedSine));
}
