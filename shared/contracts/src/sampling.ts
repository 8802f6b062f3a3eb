import { z } from 'zod';

/** How completions are drawn. `temperature` 0 is greedy; `topK` 0 and `topP` 1 switch those filters off. */
export const samplingSchema = z.strictObject({
  temperature: z.number().min(0).max(10).default(1),
  topK: z.int().min(0).default(0),
  topP: z.number().gt(0).max(1).default(1),
  maxTokens: z.int().min(1).max(131_072).default(64),
  /** Strings that end a completion; the text is cut before the first one found. */
  stop: z.array(z.string().min(1)).max(16).default([]),
});

export type Sampling = z.infer<typeof samplingSchema>;
