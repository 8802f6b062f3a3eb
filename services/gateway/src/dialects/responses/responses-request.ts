import type { ChatMessage } from '@forge/contracts';
import { z } from 'zod';
import type { Asked } from '../../answers/asked';
import { ApiProblem } from '../api-problem';
import { contentOf, MAX_MESSAGES } from '../message-content';
import { readBody, unsupported } from '../read-body';
import { flagField, samplingFields, samplingOf, tokensField } from '../sampling-fields';
import {
  CONSTRAINED,
  functionSchema,
  MAX_TOOLS,
  openToolChoice,
  readArguments,
  toolOf,
} from '../tool-fields';

const NO_STORE = 'this server keeps no responses; send all items of the conversation as input';
const ITEMS = 'message, function_call, function_call_output or reasoning';
const text = contentOf('input_text', 'output_text', 'text', 'refusal');
const texts = z.array(z.looseObject({ text: z.string() })).nullish();

const item = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.literal('message'),
      role: z.enum(['system', 'developer', 'user', 'assistant']),
      content: text,
    }),
    z.object({
      type: z.literal('function_call'),
      call_id: z.string().min(1),
      name: z.string().min(1),
      arguments: z.string(),
    }),
    z.object({
      type: z.literal('function_call_output'),
      call_id: z.string().min(1),
      output: contentOf('input_text'),
    }),
    z.object({ type: z.literal('reasoning'), summary: texts, content: texts }),
  ],
  { error: `type: expected ${ITEMS}` },
);
type Item = z.output<typeof item>;

/** Items of messages may leave their type out. */
const anyItem = z.looseObject({ type: z.string().default('message') }).pipe(item);

const tool = z.object({
  type: z.literal('function', {
    error: 'only tools of the client are possible, which have the type "function"',
  }),
  ...functionSchema.shape,
});

const schema = z.object({
  model: z.string().min(1),
  input: z.union([z.string(), z.array(anyItem).min(1).max(MAX_MESSAGES)]),
  instructions: z.string().nullish(),
  ...samplingFields,
  max_output_tokens: tokensField,
  stream: flagField,
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
  tool_choice: openToolChoice.nullish(),
  parallel_tool_calls: flagField,
  include: z.array(z.string()).nullish(),
  top_logprobs: unsupported(
    'only 0 is possible: the log-prob of the token that was drawn is all there is',
    0,
  ),
  return_token_ids: flagField,
  text: z
    .object({
      format: z
        .object({ type: z.literal('text', { error: `only "text" is possible: JSON needs ${CONSTRAINED}` }) })
        .nullish(),
    })
    .nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  previous_response_id: unsupported(NO_STORE),
  conversation: unsupported(NO_STORE),
  background: unsupported('an answer is waited for; leave it out', false),
  prompt: unsupported('this server keeps no prompts; send instructions and input'),
});

export interface ResponsesRequest extends Asked {
  /** Fields of the request that its answer repeats. */
  repeated: Record<string, unknown>;
}

/** @throws {ApiProblem} */
export function readResponsesRequest(body: unknown): ResponsesRequest {
  const read = readBody(schema, body);
  const tools = (read.tools ?? []).map(toolOf);
  const choice = read.tool_choice ?? 'auto';
  const input: ChatMessage[] =
    typeof read.input === 'string' ? [{ role: 'user', content: read.input }] : messagesOf(read.input);
  const sampling = samplingOf(read, [], read.max_output_tokens);
  return {
    model: read.model,
    prompts: [read.instructions ? [{ role: 'system', content: read.instructions }, ...input] : input],
    tools: choice === 'none' ? [] : tools,
    n: 1,
    sampling,
    seed: null,
    isStreamed: read.stream === true,
    withLogprobs: read.include?.includes('message.output_text.logprobs') === true,
    withTokenIds: read.return_token_ids === true,
    hasParallelCalls: read.parallel_tool_calls !== false,
    repeated: {
      instructions: read.instructions ?? null,
      max_output_tokens: read.max_output_tokens ?? null,
      metadata: read.metadata ?? {},
      parallel_tool_calls: read.parallel_tool_calls !== false,
      temperature: sampling.temperature,
      tool_choice: choice,
      tools: tools.map((one) => ({ type: 'function', ...one, strict: false })),
      top_p: sampling.topP,
    },
  };
}

/** Messages of the items: thinking, text and calls of the assistant that follow each other are one answer. */
function messagesOf(items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  /** The answer that the next item may be a part of. */
  let answer: ChatMessage | null = null;
  const ofAnswer = (): ChatMessage => {
    if (answer !== null) return answer;
    answer = { role: 'assistant', content: '' };
    messages.push(answer);
    return answer;
  };
  items.forEach((one, at) => {
    if (one.type === 'reasoning') {
      const reasoning = textOf(one.content) || textOf(one.summary);
      if (hasSpoken(answer)) answer = null;
      if (reasoning !== '') ofAnswer().reasoning = (ofAnswer().reasoning ?? '') + reasoning;
    } else if (one.type === 'function_call') {
      const param = `input.${at}.arguments`;
      const call = { id: one.call_id, name: one.name, arguments: readArguments(one.arguments, param) };
      const message = ofAnswer();
      message.toolCalls = [...(message.toolCalls ?? []), call];
    } else if (one.type === 'message' && one.role === 'assistant') {
      if ((answer?.toolCalls ?? []).length > 0) answer = null;
      ofAnswer().content += one.content;
    } else {
      answer = null;
      messages.push(given(one));
    }
  });
  if (messages.length > 0) return messages;
  throw new ApiProblem('invalid', 'input: expected a message at least', { param: 'input' });
}

/** Whether there is more to an answer than thinking. */
function hasSpoken(answer: ChatMessage | null): boolean {
  return answer !== null && (answer.content !== '' || answer.toolCalls !== undefined);
}

function given(one: Exclude<Item, { type: 'reasoning' | 'function_call' }>): ChatMessage {
  if (one.type === 'function_call_output')
    return { role: 'tool', content: one.output, toolCallId: one.call_id };
  return { role: one.role === 'developer' ? 'system' : one.role, content: one.content };
}

function textOf(parts: z.output<typeof texts>): string {
  return (parts ?? []).map((part) => part.text).join('');
}
