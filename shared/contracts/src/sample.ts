import { z } from 'zod';
import { atMost } from './bounded';

export const chatMessageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
});

/** Text given to the model as it is, or messages that go through the model's chat template. */
export const promptSchema = z.union([
  z.string(),
  atMost(4096, chatMessageSchema).refine((messages) => messages.length > 0, 'expected at least one'),
]);

/** One item of a dataset: what the policy is asked, and what a verifier may need to judge the answer. */
export const sampleSchema = z.strictObject({
  id: z.string().min(1),
  prompt: promptSchema,
  /** The reference answer, where the task has one. */
  answer: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

export type ChatMessage = z.infer<typeof chatMessageSchema>;
export type Prompt = z.infer<typeof promptSchema>;
export type Sample = z.infer<typeof sampleSchema>;
