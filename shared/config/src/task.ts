import { z } from 'zod';

const heldOut = z.int().min(0).max(100_000);

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .optional();

const arithmetic = z.strictObject({
  kind: z.literal('arithmetic'),
  operators: z
    .array(z.enum(['+', '-', '*']))
    .min(1)
    .default(['+', '-'])
    .describe('operators of the problems'),
  maxDigits: z.int().min(1).max(6).default(2).describe('digits of the longer operand'),
  heldOut: heldOut.default(256).describe('problems kept for evaluation, never trained on'),
});

const jsonl = z.strictObject({
  kind: z.literal('jsonl'),
  path: z.string().min(1).describe('file with one JSON object a line, relative to the working directory'),
  promptField: z
    .string()
    .min(1)
    .default('question')
    .describe(
      'field that holds the prompt, a text or a list of messages; dots lead inside: messages.0.content',
    ),
  answerField: z
    .string()
    .min(1)
    .optional()
    .describe('field that holds the reference answer: a text, a number, true or false; dots lead inside'),
  answerPattern: z
    .string()
    .min(1)
    .optional()
    .describe('regular expression whose first group is the answer inside answerField'),
  systemPrompt: z
    .string()
    .optional()
    .describe('system message; makes every prompt a chat, and is added to messages without one'),
  heldOutPath: z.string().min(1).optional().describe('file with the evaluation samples'),
  sha256: sha256.describe(
    'hash of the file at path, which is refused with another one; a run notes it at its start',
  ),
  heldOutSha256: sha256.describe('the same for heldOutPath'),
  heldOut: heldOut.default(0).describe('lines kept for evaluation when heldOutPath is not given'),
});

const prompts = z.strictObject({
  kind: z.literal('prompts'),
  prompts: z.array(z.string().min(1)).min(1).describe('texts the policy continues'),
});

/** Where samples come from. */
export const taskSchema = z
  .discriminatedUnion('kind', [arithmetic, jsonl, prompts])
  .describe('where samples come from');

export type TaskConfig = z.output<typeof taskSchema>;
