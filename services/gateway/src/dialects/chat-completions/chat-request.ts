import type { ChatMessage } from '@forge/contracts';
import { z } from 'zod';
import type { Asked } from '../../answers/asked';
import { ApiProblem } from '../api-problem';
import { contentOf, MAX_MESSAGES } from '../message-content';
import { readBody, unsupported } from '../read-body';
import {
  answersField,
  flagField,
  samplingFields,
  samplingOf,
  seedField,
  stopField,
  tokensField,
} from '../sampling-fields';
import {
  CONSTRAINED,
  functionSchema,
  MAX_TOOLS,
  openToolChoice,
  readArguments,
  toolOf,
} from '../tool-fields';

const text = contentOf('text');
const name = z.string().max(256).nullish();
const toolCallSchema = z.object({
  id: z.string().min(1),
  type: z.literal('function').default('function'),
  function: z.object({ name: z.string().min(1), arguments: z.string() }),
});
const messageSchema = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['system', 'developer', 'user']), content: text, name }),
  z.object({
    role: z.literal('assistant'),
    content: contentOf('text', 'refusal').nullish(),
    reasoning_content: z.string().nullish(),
    reasoning: z.string().nullish(),
    tool_calls: z.array(toolCallSchema).max(MAX_TOOLS).nullish(),
    function_call: unsupported('expected tool_calls in its place'),
    name,
  }),
  z.object({ role: z.literal('tool'), content: text, tool_call_id: z.string().min(1), name }),
]);

const schema = z.object({
  model: z.string().min(1),
  messages: z.array(messageSchema).min(1).max(MAX_MESSAGES),
  ...samplingFields,
  n: answersField,
  seed: seedField,
  stop: stopField,
  max_tokens: tokensField,
  max_completion_tokens: tokensField,
  stream: flagField,
  stream_options: z.object({ include_usage: flagField }).nullish(),
  logprobs: flagField,
  top_logprobs: unsupported(
    'only 0 is possible: the log-prob of the token that was drawn is all there is',
    0,
  ),
  return_token_ids: flagField,
  tools: z
    .array(z.object({ type: z.literal('function'), function: functionSchema }))
    .max(MAX_TOOLS)
    .nullish(),
  tool_choice: openToolChoice.nullish(),
  parallel_tool_calls: flagField,
  response_format: z
    .object({ type: z.literal('text', { error: `only "text" is possible: JSON needs ${CONSTRAINED}` }) })
    .nullish(),
  functions: unsupported('expected tools in its place', []),
  function_call: unsupported('expected tool_choice in its place'),
  logit_bias: unsupported('this server has no biases; leave it out', {}),
  presence_penalty: unsupported('this server has no penalties; leave it out', 0),
  frequency_penalty: unsupported('this server has no penalties; leave it out', 0),
  modalities: unsupported('only text is possible', ['text']),
  audio: unsupported('only text is possible'),
});

export interface ChatRequest extends Asked {
  /** Whether a stream ends with the number of tokens. */
  withUsage: boolean;
}

/** @throws {ApiProblem} */
export function readChatRequest(body: unknown): ChatRequest {
  const read = readBody(schema, body);
  const maxTokens = read.max_completion_tokens ?? read.max_tokens;
  return {
    model: read.model,
    prompts: [read.messages.map(messageOf)],
    tools: read.tool_choice === 'none' ? [] : (read.tools ?? []).map((tool) => toolOf(tool.function)),
    n: read.n ?? 1,
    sampling: samplingOf(read, read.stop, maxTokens),
    seed: read.seed ?? null,
    isStreamed: read.stream === true,
    withLogprobs: read.logprobs === true,
    withTokenIds: read.return_token_ids === true,
    hasParallelCalls: read.parallel_tool_calls !== false,
    withUsage: read.stream_options?.include_usage === true,
  };
}

function messageOf(read: z.output<typeof messageSchema>, at: number): ChatMessage {
  const named = read.name ? { name: read.name } : {};
  if (read.role === 'tool')
    return { role: 'tool', content: read.content, toolCallId: read.tool_call_id, ...named };
  if (read.role !== 'assistant')
    return { role: read.role === 'developer' ? 'system' : read.role, content: read.content, ...named };
  const reasoning = read.reasoning_content ?? read.reasoning;
  const calls = read.tool_calls ?? [];
  if (read.content == null && calls.length === 0) {
    const param = `messages.${at}.content`;
    throw new ApiProblem('invalid', `${param}: expected text, or tool_calls beside it`, { param });
  }
  return {
    role: 'assistant',
    content: read.content ?? '',
    ...(reasoning ? { reasoning } : {}),
    ...(calls.length > 0 && {
      toolCalls: calls.map(({ id, function: called }, i) => ({
        id,
        name: called.name,
        arguments: readArguments(called.arguments, `messages.${at}.tool_calls.${i}.function.arguments`),
      })),
    }),
    ...named,
  };
}
