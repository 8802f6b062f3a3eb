import { z } from 'zod';
import { atMost, MAX_REWARD } from './bounded';

/** A message of a conversation, for people: text as it was said, and what became of the turn. */
export const shownMessageSchema = z.strictObject({
  /** `agent`: what the process of an agent wrote to stderr. */
  role: z.enum(['system', 'user', 'assistant', 'tool', 'agent']),
  text: z.string(),
  /** Thoughts before the answer, where the template tells them apart. */
  reasoning: z.string().optional(),
  /** Calls the policy made; `arguments` is JSON. */
  toolCalls: atMost(128, z.strictObject({ name: z.string(), arguments: z.string() })).optional(),
  /** The tool that answers. */
  name: z.string().optional(),
  /** Reward of the turn, at the message that ends it. */
  reward: z.number().min(-MAX_REWARD).max(MAX_REWARD).optional(),
  /** Why the conversation could not go on from its tokens, at the first message after that. */
  fork: z.string().optional(),
});

export type ShownMessage = z.infer<typeof shownMessageSchema>;
