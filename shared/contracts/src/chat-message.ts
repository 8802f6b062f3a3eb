import { z } from 'zod';
import { atMost } from './bounded';

/** Messages, calls and tools of one request at most. */
const MAX_PARTS = 4096;

/** A tool that the model asks for. `id` tells calls of one conversation apart, so that answers name theirs. */
export const toolCallSchema = z.strictObject({
  id: z.string().min(1),
  name: z.string().min(1),
  arguments: z.record(z.string(), z.unknown()),
});

export const chatMessageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  /** The thinking that an answer opens with, apart from its content. */
  reasoning: z.string().optional(),
  /** Calls that an answer ends with. */
  toolCalls: atMost(MAX_PARTS, toolCallSchema).optional(),
  /** The call that a message of a tool answers. */
  toolCallId: z.string().optional(),
  /** The tool or the person that speaks, for templates that tell them apart. */
  name: z.string().optional(),
});

export const chatMessagesSchema = atMost(MAX_PARTS, chatMessageSchema).refine(
  (messages) => messages.length > 0,
  'expected at least one',
);

/** A tool as the model is told of it. */
export const toolSpecSchema = z.strictObject({
  name: z.string().min(1),
  description: z.string(),
  /** JSON Schema of the arguments. */
  parameters: z.record(z.string(), z.unknown()),
});

export const toolSpecsSchema = atMost(MAX_PARTS, toolSpecSchema);

/**
 * Reasons why a conversation can't go on from the token ids that stand and begins a new part, rendered as a whole.
 *
 * - `template-drops-thinking`:   the template leaves out the thinking of an earlier answer.
 * - `template-rewrites-history`: what it writes before the last answer is not what it wrote when that was asked for.
 * - `template-depends-on-answer`: what it writes behind the answer differs with the answer's text.
 * - `no-turn-end`:               it writes no token behind an answer that ends it.
 * - `other-turn-end`:            the answer ended by another token than the one it writes.
 * - `tokens-merge`:              the text behind the answer's end makes other tokens when it stands there.
 * - `messages-changed`:          the caller's messages or tools don't continue the conversation's.
 */
export const FORK_REASONS = [
  'template-drops-thinking',
  'template-rewrites-history',
  'template-depends-on-answer',
  'no-turn-end',
  'other-turn-end',
  'tokens-merge',
  'messages-changed',
] as const;

export const forkReasonSchema = z.enum(FORK_REASONS);

export type ToolCall = z.infer<typeof toolCallSchema>;
export type ChatMessage = z.infer<typeof chatMessageSchema>;
export type ToolSpec = z.infer<typeof toolSpecSchema>;
export type ForkReason = z.infer<typeof forkReasonSchema>;
