import { chatMessagesSchema, promptSchema, samplingSchema, toolSpecsSchema } from '@forge/contracts';
import { z } from 'zod';

const tokenIds = promptSchema.options[2].shape.tokenIds;
const tools = toolSpecsSchema.optional();

/** Requests of `ChatPolicy`, as others send them. */
export const renderRequestSchema = z.strictObject({ messages: chatMessagesSchema, tools });
export const bridgeRequestSchema = z.strictObject({
  tokenIds,
  before: chatMessagesSchema,
  added: chatMessagesSchema,
  tools,
  keepThinking: z.boolean().optional(),
});
export const answerToParseSchema = z.strictObject({
  tokenIds,
  tools,
  callIds: z.string().min(1).optional(),
});
export const growingTextSchema = z.strictObject({
  tokenIds,
  stop: samplingSchema.shape.stop.unwrap().optional(),
});
export const growingAnswerSchema = growingTextSchema.extend({ tools });
