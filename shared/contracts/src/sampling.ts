import { z } from 'zod';

/** How completions are drawn. */
export const samplingSchema = z.strictObject({
  temperature: z.number().min(0).max(10).default(1).describe('divides the logits; 0 is greedy'),
  topK: z.int().min(0).default(0).describe('draws from the most probable tokens only; 0 switches it off'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('draws from the fewest tokens that have this probability together; 1 switches it off'),
  maxTokens: z.int().min(1).max(131_072).default(64).describe('tokens of a completion at most'),
  stop: z
    .array(z.string().min(1))
    .max(16)
    .default([])
    .describe(
      'strings that end a completion, special tokens too; the text is cut before the first one found',
    ),
});

export type Sampling = z.infer<typeof samplingSchema>;
