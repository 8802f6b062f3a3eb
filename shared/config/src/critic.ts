import { z } from 'zod';
import { section } from './sections';

/** The value model of an algorithm that learns one. */
export const criticFields = {
  critic: section({
    gamma: z.number().gt(0).max(1).default(1).describe('discount of a reward per token'),
    lambda: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('weight of longer returns: 0 trusts the values alone, 1 the rewards alone'),
    valueClip: z
      .number()
      .gt(0)
      .nullable()
      .default(0.2)
      .describe(
        'farthest a value may move within a batch and be rewarded for it; null: no bound; 0.2 in verl, slime and OpenRLHF',
      ),
    whitening: z
      .enum(['unbiased', 'population', 'none'])
      .default('unbiased')
      .describe("deviation by which a batch's advantages are divided: verl's, OpenRLHF's, or none"),
    learningRate: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe("the value model's own peak; left out: that of the trainer"),
  }).describe('the value model, which starts with the weights of the policy'),
};
