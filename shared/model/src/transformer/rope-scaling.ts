import { z } from 'zod';

/**
 * How positions turn into rotation angles, beyond plain RoPE.
 *
 * @see https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_rope_utils.py
 */
export type RopeScaling =
  | { readonly type: 'none' }
  /** Every angle divided by `factor`. */
  | { readonly type: 'linear'; readonly factor: number }
  /** Llama 3.1: long wavelengths divided by `factor`, short ones kept, those between interpolated. */
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    }
  /** YaRN (arXiv 2309.00071). */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositions: number;
      /** Multiplies cos and sin. */
      readonly attentionFactor: number;
      /** Whether the bounds of the interpolated range are rounded to whole dimensions. */
      readonly truncate: boolean;
    };

const positive = z.number().positive();
const optional = positive.nullish().transform((value) => value ?? undefined);

/** Names of `rope_type` that `ropeScalingSchema` knows; any other is unsupported. */
export const ROPE_TYPES = ['default', 'linear', 'llama3', 'yarn'] as const;

const schemas = {
  default: z.object({}),
  linear: z.object({ factor: positive }),
  llama3: z.object({
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: positive,
  }),
  yarn: z.object({
    factor: positive,
    beta_fast: positive.nullish().transform((value) => value ?? 32),
    beta_slow: positive.nullish().transform((value) => value ?? 1),
    original_max_position_embeddings: optional,
    attention_factor: optional,
    mscale: optional,
    mscale_all_dim: optional,
    truncate: z.boolean().default(true),
  }),
};

/** The scaling that `rope_scaling` (or `rope_parameters`) of type `ropeType` describes; throws a ZodError. */
export function parseRopeScaling(
  ropeType: (typeof ROPE_TYPES)[number],
  fields: unknown,
  maxPositions: number,
): RopeScaling {
  switch (ropeType) {
    case 'default':
      return { type: 'none' };
    case 'linear':
      return { type: 'linear', factor: schemas.linear.parse(fields).factor };
    case 'llama3': {
      const scaling = schemas.llama3.parse(fields);
      return {
        type: 'llama3',
        factor: scaling.factor,
        lowFrequencyFactor: scaling.low_freq_factor,
        highFrequencyFactor: scaling.high_freq_factor,
        originalMaxPositions: scaling.original_max_position_embeddings,
      };
    }
    case 'yarn': {
      const scaling = schemas.yarn.parse(fields);
      return {
        type: 'yarn',
        factor: scaling.factor,
        betaFast: scaling.beta_fast,
        betaSlow: scaling.beta_slow,
        originalMaxPositions: scaling.original_max_position_embeddings ?? maxPositions,
        attentionFactor: scaling.attention_factor ?? yarnAttentionFactor(scaling),
        truncate: scaling.truncate,
      };
    }
  }
}

function yarnAttentionFactor(scaling: {
  factor: number;
  mscale: number | undefined;
  mscale_all_dim: number | undefined;
}): number {
  const magnitude = (scale: number): number =>
    scaling.factor <= 1 ? 1 : 0.1 * scale * Math.log(scaling.factor) + 1;
  return scaling.mscale !== undefined && scaling.mscale_all_dim !== undefined
    ? magnitude(scaling.mscale) / magnitude(scaling.mscale_all_dim)
    : magnitude(1);
}
