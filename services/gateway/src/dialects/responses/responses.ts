import { usageOf, type Answer } from '../../answers/answer';
import type { CallFacts, Dialect } from '../dialect';
import { responsesErrors } from '../open-ai-errors';
import { tokenLogprobs } from '../token-fields';
import { toldCalls } from '../tool-fields';
import { callItem, messageItem, reasoningItem, reasoningPart, textPart } from './response-items';
import { readResponsesRequest, type ResponsesRequest } from './responses-request';
import { ResponsesStream } from './responses-stream';

/**
 * OpenAI's responses, without a store: a conversation is sent as a whole each time.
 *
 * @see https://platform.openai.com/docs/api-reference/responses
 */
export const responses: Dialect = {
  read: (body) => {
    const asked = readResponsesRequest(body);
    return {
      asked,
      body: ([answer], facts) => responseBody(asked, facts, answer!),
      stream: (facts) =>
        new ResponsesStream(asked, facts, (answer, items) => responseBody(asked, facts, answer, items)),
    };
  },
  errors: responsesErrors,
};

/** The response, with the items it has; null: it has only begun. */
function responseBody(
  asked: ResponsesRequest,
  facts: CallFacts,
  answer: Answer | null,
  items: readonly object[] = answer === null ? [] : itemsOf(asked, facts, answer),
): object {
  const isCut = answer?.completion.stopReason === 'length';
  const done = isCut ? 'incomplete' : 'completed';
  return {
    id: `resp_${facts.id}`,
    object: 'response',
    created_at: facts.createdAt,
    status: answer === null ? 'in_progress' : done,
    background: false,
    error: null,
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    model: facts.model,
    output: items,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    text: { format: { type: 'text' } },
    truncation: 'disabled',
    ...asked.repeated,
    usage: answer === null ? null : usageBody(answer),
    ...(answer !== null &&
      asked.withTokenIds && {
        prompt_token_ids: answer.completion.promptTokenIds,
        token_ids: answer.completion.tokenIds,
      }),
  };
}

function itemsOf(asked: ResponsesRequest, { id }: CallFacts, answer: Answer): object[] {
  const { reasoning, content, toolCalls } = answer.message;
  const { stopReason, logprobs } = answer.completion;
  const calls = toldCalls(toolCalls, asked.hasParallelCalls);
  const items: object[] = [];
  const next = (): { id: string; at: number } => ({ id, at: items.length });
  if (reasoning !== undefined) items.push(reasoningItem(next(), [reasoningPart(reasoning)]));
  if (content !== '' || calls.length === 0) {
    const shown = answer.tokenTexts === null ? [] : tokenLogprobs(answer.tokenTexts, logprobs);
    const status = stopReason === 'length' ? 'incomplete' : 'completed';
    items.push(messageItem(next(), status, [textPart(content, shown)]));
  }
  for (const call of calls) items.push(callItem(next(), 'completed', call));
  return items;
}

function usageBody(answer: Answer): object {
  const { promptTokens, completionTokens } = usageOf([answer], 1);
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}
