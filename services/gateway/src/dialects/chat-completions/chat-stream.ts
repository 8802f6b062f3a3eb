import type { Answer, Growth } from '../../answers/answer';
import type { AnswerStream, CallFacts, StreamEvent } from '../dialect';
import { chatLogprobs, finishReason, isEmpty, openAiUsage } from '../token-fields';
import { toldCalls } from '../tool-fields';
import type { ChatRequest } from './chat-request';

/** Chunks of chat completions; calls of tools come whole, once they are. */
export class ChatStream implements AnswerStream {
  constructor(
    private readonly asked: ChatRequest,
    private readonly facts: CallFacts,
  ) {}

  begin(promptTokenIds: readonly number[] | null): StreamEvent[] {
    const ids =
      this.asked.withTokenIds && promptTokenIds !== null ? { prompt_token_ids: promptTokenIds } : {};
    return Array.from({ length: this.asked.n }, (_, index) =>
      this.chunk([{ index, delta: { role: 'assistant', content: '' }, finish_reason: null }], ids),
    );
  }

  grow(growth: Growth): StreamEvent[] {
    const { withTokenIds } = this.asked;
    if (isEmpty(growth, withTokenIds)) return [];
    const { index, content, reasoning, tokenIds, logprobs, tokenTexts } = growth;
    const choice = {
      index,
      delta: {
        ...(reasoning !== '' && { reasoning_content: reasoning }),
        ...((content !== '' || reasoning === '') && { content }),
      },
      logprobs: chatLogprobs(tokenTexts, logprobs),
      finish_reason: null,
      ...(withTokenIds && { token_ids: tokenIds }),
    };
    return [this.chunk([choice])];
  }

  end(answers: readonly Answer[]): StreamEvent[] {
    const { withUsage } = this.asked;
    const last = answers.flatMap((answer, index) => [
      ...this.calls(answer, index),
      this.chunk([{ index, delta: {}, logprobs: null, finish_reason: finishReason(answer) }]),
    ]);
    const usage = withUsage ? [this.chunk([], { usage: openAiUsage(answers, this.asked.n) })] : [];
    return [...last, ...usage, { data: '[DONE]' }];
  }

  private calls({ message }: Answer, index: number): StreamEvent[] {
    const calls = toldCalls(message.toolCalls, this.asked.hasParallelCalls);
    return calls.map(({ id, name, arguments: given }, at) => {
      const call = { index: at, id, type: 'function', function: { name, arguments: JSON.stringify(given) } };
      return this.chunk([{ index, delta: { tool_calls: [call] }, logprobs: null, finish_reason: null }]);
    });
  }

  private chunk(choices: object[], more: object = {}): StreamEvent {
    const { id, createdAt, model } = this.facts;
    const chunk = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created: createdAt, model };
    return { data: { ...chunk, choices, ...(this.asked.withUsage && { usage: null }), ...more } };
  }
}
