import type { Answer } from '../../answers/answer';
import type { Dialect, CallFacts } from '../dialect';
import { openAiErrors } from '../open-ai-errors';
import { chatLogprobs, finishReason, openAiUsage } from '../token-fields';
import { toldCalls } from '../tool-fields';
import { readChatRequest, type ChatRequest } from './chat-request';
import { ChatStream } from './chat-stream';

/**
 * OpenAI's chat completions, with the fields of others for reasoning (`reasoning_content`) and token ids.
 *
 * @see https://platform.openai.com/docs/api-reference/chat
 */
export const chatCompletions: Dialect = {
  read: (body) => {
    const asked = readChatRequest(body);
    return {
      asked,
      body: (answers, facts) => completionBody(asked, answers, facts),
      stream: (facts) => new ChatStream(asked, facts),
    };
  },
  errors: openAiErrors,
};

function completionBody(asked: ChatRequest, answers: readonly Answer[], facts: CallFacts): object {
  return {
    id: `chatcmpl-${facts.id}`,
    object: 'chat.completion',
    created: facts.createdAt,
    model: facts.model,
    choices: answers.map((answer, index) => ({
      index,
      message: messageBody(asked, answer),
      logprobs: chatLogprobs(answer.tokenTexts, answer.completion.logprobs),
      finish_reason: finishReason(answer),
      ...(asked.withTokenIds && { token_ids: answer.completion.tokenIds }),
    })),
    usage: openAiUsage(answers, asked.n),
    ...(asked.withTokenIds && { prompt_token_ids: answers[0]!.completion.promptTokenIds }),
  };
}

function messageBody({ hasParallelCalls }: ChatRequest, { message }: Answer): object {
  const { content, reasoning, toolCalls } = message;
  const calls = toldCalls(toolCalls, hasParallelCalls);
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning !== undefined && { reasoning_content: reasoning }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, arguments: given }) => ({
        id,
        type: 'function',
        function: { name, arguments: JSON.stringify(given) },
      })),
    }),
  };
}
