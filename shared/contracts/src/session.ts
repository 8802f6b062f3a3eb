import { z } from 'zod';
import { atMost } from './bounded';
import { chatMessageSchema, chatMessagesSchema, toolSpecsSchema } from './chat-message';
import { completionSchema } from './completion';

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hexadecimal');
/** Part of sampling that a client may decide; the rest is the run's. */
const drawing = {
  stop: atMost(16, z.string().min(1)).optional(),
  maxTokens: z.int().min(1).optional(),
};

/** A call of an agent to the policy, which is part of a rollout. */
export const sessionCallSchema = z.strictObject({
  sessionId: z.string().min(1).max(256),
  /** SHA-256 of path and body of the request. */
  digest,
  /** Whether the client says that it sends the request again. */
  isRetry: z.boolean(),
  messages: chatMessagesSchema,
  tools: toolSpecsSchema,
  ...drawing,
});

/** The policy's answer to a call: as a message, and as the tokens that were sampled. */
export const sessionAnswerSchema = z.strictObject({
  message: chatMessageSchema,
  completion: completionSchema,
});

/** A call that was answered, as it outlives the process that answered it. */
export const keptCallSchema = z.strictObject({
  digest,
  /** The conversation of the session that it belongs to; they count from 0 as they began. */
  talk: z.int().min(0),
  /** Messages since the answer before it in that conversation; of its first call all of them. */
  added: atMost(4096, chatMessageSchema),
  tools: toolSpecsSchema,
  ...drawing,
  answer: sessionAnswerSchema,
});

export type SessionCall = z.infer<typeof sessionCallSchema>;
export type SessionAnswer = z.infer<typeof sessionAnswerSchema>;
export type KeptCall = z.infer<typeof keptCallSchema>;
