import { z } from 'zod';
import { oneOf, type ConfigChecks } from './config-checks';

/**
 * The change of rotation angles beyond plain RoPE.
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
      /** Rounds the bounds of the interpolated range to whole dimensions. */
      readonly truncate: boolean;
    };

export interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

const positive = z.number().positive();
/** A number, where null and 0 mean that the default holds, as they do in transformers. */
const optional = z
  .number()
  .min(0)
  .nullish()
  .transform((value) => value || undefined);

/** Names of `rope_type`; any other is unsupported. */
const ROPE_TYPES = ['default', 'linear', 'dynamic', 'llama3', 'yarn'] as const;

const original = { original_max_position_embeddings: positive.nullish() };
const schemas = {
  linear: z.object({ factor: positive }),
  llama3: z
    .object({ factor: positive, low_freq_factor: positive, high_freq_factor: positive, ...original })
    .refine(({ low_freq_factor: low, high_freq_factor: high }) => high > low, {
      path: ['high_freq_factor'],
      message: 'Invalid input: expected more than low_freq_factor',
    }),
  yarn: z.object({
    factor: positive.nullable(),
    beta_fast: optional,
    beta_slow: optional,
    attention_factor: positive.nullish(),
    mscale: optional,
    mscale_all_dim: optional,
    truncate: z.boolean().nullable().default(true),
    ...original,
  }),
};

/** The fields of config.json that rotary angles depend on, and the bound of the positions. */
export const ropeFields = {
  max_position_embeddings: z.int().positive(),
  original_max_position_embeddings: z.int().positive().nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  partial_rotary_factor: z.number().nullish(),
};
type RopeFields = z.infer<z.ZodObject<typeof ropeFields>>;

/**
 * The rotary settings, wherever they stand: transformers 5 moved `rope_theta` and `rope_scaling` into `rope_parameters`,
 * and lets a `rope_scaling` that was added later replace these as a whole.
 */
export function parseRope(config: RopeFields, { refuse, checked }: ConfigChecks): Rope {
  const hasScaling = Object.keys(config.rope_scaling ?? {}).length > 0;
  const field = hasScaling ? 'rope_scaling' : 'rope_parameters';
  const { original_max_position_embeddings: originalAtTop } = config;
  const settings: Record<string, unknown> = {
    ...config[field],
    ...(originalAtTop == null ? {} : { original_max_position_embeddings: originalAtTop }),
  };
  const type = settings['rope_type'] ?? settings['type'] ?? 'default';
  const ropeType = ROPE_TYPES.find((known) => known === type);
  if (ropeType === undefined) return refuse(`${field}.rope_type`, type, oneOf(ROPE_TYPES));
  const nested = Object.entries(settings).find(([, value]) => typeof value === 'object' && value !== null);
  if (nested) refuse(`${field}.${nested[0]}`, nested[1], 'one value for all layers');
  const rotary = settings['partial_rotary_factor'] ?? config.partial_rotary_factor ?? 1;
  if (rotary !== 1) refuse('partial_rotary_factor', rotary, '1');
  const givenTheta = settings['rope_theta'] ?? config.rope_theta ?? 10_000;
  const theta = checked(() => positive.parse(givenTheta), 'rope_theta');
  const other = config.rope_parameters?.['rope_theta'] ?? theta;
  if (other !== theta) {
    const why = `${JSON.stringify(other)}, the rope_theta of rope_parameters, which rope_scaling replaces as a whole`;
    refuse(`${field}.rope_theta`, settings['rope_theta'] ?? null, why);
  }
  return {
    theta,
    scaling: checked(() => parseRopeScaling(ropeType, settings, config.max_position_embeddings), field),
  };
}

/**
 * The scaling that settings of type `ropeType` describe, for a model of `maxPositions`.
 *
 * @throws {ZodError} naming the setting that is missing or mistyped.
 */
function parseRopeScaling(
  ropeType: (typeof ROPE_TYPES)[number],
  settings: unknown,
  maxPositions: number,
): RopeScaling {
  switch (ropeType) {
    case 'default':
      return { type: 'none' };
    case 'dynamic':
      // Scales beyond max_position_embeddings only, which no sequence of ours passes.
      schemas.linear.parse(settings);
      return { type: 'none' };
    case 'linear':
      return { type: 'linear', factor: schemas.linear.parse(settings).factor };
    case 'llama3': {
      const scaling = schemas.llama3.parse(settings);
      return {
        type: 'llama3',
        factor: scaling.factor,
        lowFrequencyFactor: scaling.low_freq_factor,
        highFrequencyFactor: scaling.high_freq_factor,
        originalMaxPositions: scaling.original_max_position_embeddings ?? maxPositions,
      };
    }
    case 'yarn': {
      const scaling = schemas.yarn.parse(settings);
      const originalMaxPositions = scaling.original_max_position_embeddings ?? maxPositions;
      const factor = scaling.factor ?? maxPositions / originalMaxPositions;
      return {
        type: 'yarn',
        factor,
        betaFast: scaling.beta_fast ?? 32,
        betaSlow: scaling.beta_slow ?? 1,
        originalMaxPositions,
        attentionFactor: scaling.attention_factor ?? yarnAttentionFactor(factor, scaling),
        truncate: scaling.truncate ?? false,
      };
    }
  }
}

function yarnAttentionFactor(
  factor: number,
  { mscale, mscale_all_dim }: { mscale: number | undefined; mscale_all_dim: number | undefined },
): number {
  const magnitude = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  return mscale !== undefined && mscale_all_dim !== undefined
    ? magnitude(mscale) / magnitude(mscale_all_dim)
    : magnitude(1);
}
