import { z } from 'zod';
import { named, userModule } from './sections';

const groupSize = z.int().min(1).max(1024).default(8).describe('completions of one prompt');
const normalization = z
  .enum(['token', 'sequence'])
  .default('token')
  .describe('loss averaged over all tokens of the batch, or over sequences after a mean within each');
const truncatedImportanceSampling = z
  .number()
  .gt(0)
  .optional()
  .describe('upper bound of the importance weight pi/behaviour; left out: no weight');

const grpo = z.strictObject({
  name: z.literal('grpo'),
  groupSize,
  normalizeByStd: z
    .boolean()
    .default(true)
    .describe('divide the advantage by the standard deviation of the group'),
  loss: z
    .enum(['clipped', 'simple'])
    .default('clipped')
    .describe("clipped ratio to the behaviour policy, or torchforge's SimpleGRPOLoss exactly"),
  clipEpsilon: z.number().gt(0).lt(1).default(0.2).describe('the ratio counts from 1 - clipEpsilon on'),
  clipEpsilonHigh: z
    .number()
    .gt(0)
    .max(10)
    .optional()
    .describe('the ratio counts up to 1 + clipEpsilonHigh; left out: clipEpsilon'),
  klCoefficient: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .describe('weight of the k3 divergence from the reference model'),
  normalization,
  truncatedImportanceSampling,
});

const reinforce = z.strictObject({
  name: z.literal('reinforce'),
  groupSize,
  normalizeByStd: z
    .boolean()
    .default(true)
    .describe('divide the advantage by the standard deviation of the group'),
});

const ownModule = z.strictObject({
  name: z.literal('module'),
  ...userModule,
  groupSize,
});

const algorithm = z.discriminatedUnion('name', [grpo, reinforce, ownModule]);

/** The objective, and how it is maximised; `{ module: ./mine.ts }` is an algorithm of the user's own. */
export const algorithmSchema = named(algorithm).describe('the learning algorithm');

export type AlgorithmConfig = z.output<typeof algorithm>;
/** The same with what has a default left out. */
export type AlgorithmInput = z.input<typeof algorithm> | Omit<z.input<typeof ownModule>, 'name'>;
export type GrpoConfig = z.output<typeof grpo>;
export type ReinforceConfig = z.output<typeof reinforce>;
