import { z } from 'zod';
import { engineFields, section } from './sections';

export const keepCheckpoints = z
  .int()
  .min(1)
  .max(10_000)
  .default(2)
  .describe('checkpoints kept; the oldest make room');

const dtype = z.enum(['F32', 'F16', 'BF16']).default('F32');

export const publishDtype = dtype.describe(
  'number format of the weights that policies get; half precision halves files and transfers, and rounds what is generated with',
);

/** When a step of reinforcement learning is not applied, but rolled back. */
export const rollbackFields = {
  maxGradientNorm: z
    .number()
    .gt(0)
    .optional()
    .describe('a step with a larger gradient, before clipping, is rolled back; left out: no bound'),
  maxKl: z
    .number()
    .gt(0)
    .optional()
    .describe('a step whose batch is farther from the behaviour policy (kl/behaviour, nats) is rolled back'),
  maxInARow: z
    .int()
    .min(1)
    .max(1_000)
    .default(5)
    .describe('so many steps in a row that were rolled back by themselves, NaN included, fail the run'),
};

const { options: engines } = engineFields.engine.unwrap();

/** The engine of a run's trainer, and what torch takes. */
export const runTrainerFields = {
  engine: z
    .enum([...engines, 'torch'])
    .default('auto')
    .describe(
      `${engineFields.engine.description}; torch trains in PyTorch, where python has it (docs/torch.md)`,
    ),
  torch: section({
    processes: z
      .int()
      .min(1)
      .max(256)
      .default(1)
      .describe('ranks on this machine over which the model is sharded; on cuda a GPU each'),
    nodes: z
      .int()
      .min(1)
      .max(1024)
      .default(1)
      .describe('machines with as many ranks each; the service starts those of the first one'),
    address: z
      .string()
      .regex(/^[^:]+:\d+$/)
      .optional()
      .describe('host:port at which the ranks of several machines find each other'),
  }).describe('the trainer in PyTorch, with engine torch'),
};

/** The optimizer and the train step, as reinforcement learning and supervised training share them. */
export function trainerFields(defaults: { learningRate: number; warmupSteps: number }) {
  return {
    learningRate: z.number().gt(0).max(1).default(defaults.learningRate).describe('peak learning rate'),
    schedule: z
      .enum(['constant', 'linear', 'cosine'])
      .default('constant')
      .describe('learning rate after the warm-up; linear and cosine end at 0 at the last step'),
    warmupSteps: z
      .int()
      .min(0)
      .default(defaults.warmupSteps)
      .describe('steps over which the learning rate rises linearly'),
    weightDecay: z.number().min(0).max(1).default(0).describe('decoupled (AdamW)'),
    betas: z
      .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
      .default([0.9, 0.95])
      .describe('decay of the first and second moment'),
    epsilon: z.number().gt(0).max(1).default(1e-8).describe("Adam's epsilon"),
    maxGradientNorm: z.number().gt(0).default(1).describe('gradients are scaled down to this global norm'),
    microBatchTokens: z
      .int()
      .min(16)
      .default(16_384)
      .describe(
        'padded tokens of one forward and backward pass, in which episodes of the same tokens count once; bounds memory, not the result',
      ),
    recompute: z
      .boolean()
      .default(false)
      .describe('recompute activations in the backward pass: less memory, more time'),
    logitsChunk: z.int().min(1).default(1024).describe('rows of the LM head computed at once; bounds memory'),
    ...engineFields,
    dtype: dtype.describe('number format of the saved model'),
  };
}

export type TrainerConfig = z.output<z.ZodObject<ReturnType<typeof trainerFields>>>;
