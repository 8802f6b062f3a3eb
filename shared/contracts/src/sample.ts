import { z } from 'zod';
import { COUNT, numbers } from './bounded';
import { chatMessagesSchema } from './chat-message';

/**
 * Text given to the model as it is, messages that go through the model's chat template, or token ids that it continues
 * as they are.
 */
export const promptSchema = z.union([
  z.string(),
  chatMessagesSchema,
  z.strictObject({
    tokenIds: numbers(COUNT).refine(({ length }) => length > 0, 'expected at least one'),
  }),
]);

/** One item of a dataset: what the policy is asked, and what a verifier may need to judge the answer. */
export const sampleSchema = z.strictObject({
  id: z.string().min(1),
  prompt: promptSchema,
  /** The reference answer, where the task has one. */
  answer: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

export type Prompt = z.infer<typeof promptSchema>;
export type Sample = z.infer<typeof sampleSchema>;
