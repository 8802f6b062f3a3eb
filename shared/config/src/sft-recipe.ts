import { z } from 'zod';
import { date, section } from './sections';
import { taskSchema } from './task';
import { trainerFields } from './trainer';

export const sftRecipeSchema = z.strictObject({
  kind: z.literal('sft').describe('supervised training of a new model'),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/)
    .describe('letters, digits and dashes'),
  seed: z.int().min(0).max(0xffff_ffff).default(1).describe('same seed, same file'),
  date,
  output: z.string().min(1).describe('directory the model is written to'),
  task: taskSchema.refine(({ curriculum }) => curriculum === undefined, {
    path: ['curriculum'],
    message: 'none: supervised training has no success to go by',
  }),
  tokenizer: z
    .string()
    .min(1)
    .default('arithmetic')
    .describe('`arithmetic`: one token per character of the task; or a directory with tokenizer.json'),
  architecture: section({
    hiddenSize: z.int().min(8).max(16_384).default(128).describe('width of the residual stream'),
    intermediateSize: z.int().min(8).max(65_536).default(384).describe('width of the feed-forward layer'),
    layers: z.int().min(1).max(256).default(3).describe('decoder layers'),
    heads: z.int().min(1).max(256).default(4).describe('attention heads'),
    kvHeads: z.int().min(1).max(256).default(4).describe('key-value heads (grouped-query attention)'),
    maxPositions: z.int().min(8).max(1_048_576).default(256).describe('longest sequence, in tokens'),
    ropeTheta: z.number().gt(0).default(10_000).describe('base of the rotary embedding'),
    rmsNormEpsilon: z.number().gt(0).max(1).default(1e-5).describe('epsilon of RMSNorm'),
    tieWordEmbeddings: z.boolean().default(true).describe('the LM head is the embedding'),
  }),
  steps: z.int().min(1).max(10_000_000).describe('optimizer steps at most'),
  batchSize: z.int().min(1).max(65_536).default(128).describe('examples per step'),
  trainSamples: z.int().min(1).optional().describe('distinct training problems used; left out: all'),
  targetAccuracy: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('ends the training once held-out accuracy reaches it'),
  trainer: section(trainerFields({ learningRate: 1e-3, warmupSteps: 20 })),
  evaluation: section({
    everySteps: z.int().min(0).default(25).describe('steps between held-out evaluations; 0 is never'),
    samples: z
      .int()
      .min(1)
      .max(100_000)
      .default(256)
      .describe('held-out problems per evaluation, decoded greedily'),
  }),
});

/** A supervised training with every default filled in. */
export type SftRecipe = z.output<typeof sftRecipeSchema>;
