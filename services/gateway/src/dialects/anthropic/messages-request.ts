import type { ChatMessage, ToolCall } from '@forge/contracts';
import { z } from 'zod';
import type { Asked } from '../../answers/asked';
import { ApiProblem } from '../api-problem';
import { contentOf, MAX_MESSAGES } from '../message-content';
import { readBody } from '../read-body';
import { flagField, samplingFields, samplingOf, stopField } from '../sampling-fields';
import { CONSTRAINED, MAX_TOOLS, toolNameSchema } from '../tool-fields';

const MAX_BLOCKS = 1024;
const text = contentOf('text');
const READABLE = 'text, thinking, tool_use or tool_result: the model reads text only';

const block = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text'), text: z.string() }),
    z.object({ type: z.literal('thinking'), thinking: z.string() }),
    // Only the server that wrote it could read it.
    z.object({ type: z.literal('redacted_thinking') }),
    z.object({
      type: z.literal('tool_use'),
      id: z.string().min(1),
      name: z.string().min(1),
      input: z.record(z.string(), z.unknown()),
    }),
    z.object({ type: z.literal('tool_result'), tool_use_id: z.string().min(1), content: text.optional() }),
  ],
  { error: `type: expected ${READABLE}` },
);
type Block = z.output<typeof block>;

const message = z.object({
  role: z.enum(['user', 'assistant', 'system']),
  content: z.union([z.string(), z.array(block).max(MAX_BLOCKS)]),
});

const tool = z.object({
  type: z
    .literal('custom', { error: 'only tools of the client are possible, which have no type or "custom"' })
    .nullish(),
  name: toolNameSchema,
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown()),
});

const promptFields = {
  model: z.string().min(1),
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  system: text.nullish(),
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
  tool_choice: z
    .object({
      type: z.enum(['auto', 'none'], {
        error: `only "auto" and "none" are possible: making a model call a tool needs ${CONSTRAINED}`,
      }),
      disable_parallel_tool_use: flagField,
    })
    .nullish(),
  output_config: z
    .object({
      format: z
        .unknown()
        .refine((format) => format == null, { error: `JSON needs ${CONSTRAINED}` })
        .optional(),
    })
    .nullish(),
};

const promptSchema = z.object(promptFields);
const schema = z.object({
  ...promptFields,
  ...samplingFields,
  max_tokens: z.int().min(1),
  stop_sequences: stopField,
  stream: flagField,
});

/** @throws {ApiProblem} */
export function readMessagesRequest(body: unknown): Asked {
  const read = readBody(schema, body);
  return {
    ...promptOf(read),
    sampling: samplingOf(read, read.stop_sequences, read.max_tokens),
    isStreamed: read.stream === true,
  };
}

/** The same of a request that only asks how long its prompt is. @throws {ApiProblem} */
export function readCountRequest(body: unknown): Asked {
  return { ...promptOf(readBody(promptSchema, body)), sampling: {}, isStreamed: false };
}

function promptOf(read: z.output<typeof promptSchema>): Omit<Asked, 'sampling' | 'isStreamed'> {
  const messages = read.messages.flatMap(messagesOf);
  if (messages.at(-1)?.role === 'assistant')
    throw new ApiProblem(
      'invalid',
      'messages: the last one is of the assistant; answers are begun anew: end with one of the user',
      { param: 'messages' },
    );
  const isOff = read.tool_choice?.type === 'none';
  return {
    model: read.model,
    prompts: [read.system ? [{ role: 'system', content: read.system }, ...messages] : messages],
    tools: (isOff ? [] : (read.tools ?? [])).map(({ name, description, input_schema: parameters }) => ({
      name,
      description: description ?? '',
      parameters,
    })),
    n: 1,
    seed: null,
    withLogprobs: false,
    withTokenIds: false,
    hasParallelCalls: read.tool_choice?.disable_parallel_tool_use !== true,
  };
}

/** The messages of one of Anthropic's: the results of tools are messages of their own to a chat template. */
function messagesOf({ role, content }: z.output<typeof message>, at: number): ChatMessage[] {
  if (typeof content === 'string') return [{ role, content }];
  const allowed =
    role === 'assistant' ? ['text', 'thinking', 'redacted_thinking', 'tool_use'] : ['text', 'tool_result'];
  const wrong = content.findIndex(({ type }) => !allowed.includes(type));
  if (wrong >= 0) {
    const param = `messages.${at}.content.${wrong}.type`;
    const found = content[wrong]!.type;
    throw new ApiProblem('invalid', `${param}: found ${found}, expected ${allowed.join(' or ')} of ${role}`, {
      param,
    });
  }
  return role === 'assistant' ? [answerOf(content)] : givenBy(role, content);
}

function answerOf(blocks: readonly Block[]): ChatMessage {
  const joined = (of: (one: Block) => string): string => blocks.map(of).join('');
  const reasoning = joined((one) => (one.type === 'thinking' ? one.thinking : ''));
  const toolCalls: ToolCall[] = blocks.flatMap((one) =>
    one.type === 'tool_use' ? [{ id: one.id, name: one.name, arguments: one.input }] : [],
  );
  return {
    role: 'assistant',
    content: joined((one) => (one.type === 'text' ? one.text : '')),
    ...(reasoning !== '' && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  };
}

/** Messages in the order of their blocks; texts beside each other are one. */
function givenBy(role: 'user' | 'system', blocks: readonly Block[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const one of blocks) {
    const last = messages.at(-1);
    if (one.type === 'tool_result')
      messages.push({ role: 'tool', content: one.content ?? '', toolCallId: one.tool_use_id });
    else if (one.type === 'text' && last?.role === role) last.content += one.text;
    else if (one.type === 'text') messages.push({ role, content: one.text });
  }
  return messages.length > 0 ? messages : [{ role, content: '' }];
}
