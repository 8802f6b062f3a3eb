import { usageOf, type Answer } from '../../answers/answer';
import type { Asked } from '../../answers/asked';
import type { CallFacts, Dialect } from '../dialect';
import { toldCalls } from '../tool-fields';
import { anthropicErrors } from './anthropic-errors';
import { readMessagesRequest } from './messages-request';
import { MessagesStream } from './messages-stream';
import { stopFields } from './stop-fields';

/**
 * Anthropic's messages.
 *
 * @see https://docs.anthropic.com/en/api/messages
 */
export const messages: Dialect = {
  read: (body) => {
    const asked = readMessagesRequest(body);
    return {
      asked,
      body: ([answer], facts) => messageBody(asked, answer!, facts),
      stream: (facts) => new MessagesStream(asked, facts),
    };
  },
  errors: anthropicErrors,
};

function messageBody(asked: Asked, answer: Answer, facts: CallFacts): object {
  const { reasoning, content, toolCalls } = answer.message;
  const calls = toldCalls(toolCalls, asked.hasParallelCalls);
  const { promptTokens, completionTokens } = usageOf([answer], 1);
  return {
    id: `msg_${facts.id}`,
    type: 'message',
    role: 'assistant',
    model: facts.model,
    content: [
      ...(reasoning === undefined ? [] : [{ type: 'thinking', thinking: reasoning, signature: '' }]),
      ...(content === '' ? [] : [{ type: 'text', text: content }]),
      ...calls.map(({ id, name, arguments: input }) => ({ type: 'tool_use', id, name, input })),
    ],
    ...stopFields(answer),
    usage: { input_tokens: promptTokens, output_tokens: completionTokens },
  };
}
