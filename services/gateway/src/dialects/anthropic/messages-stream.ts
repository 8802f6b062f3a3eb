import { usageOf, type Answer, type Growth } from '../../answers/answer';
import type { Asked } from '../../answers/asked';
import type { AnswerStream, CallFacts, StreamEvent } from '../dialect';
import { toldCalls } from '../tool-fields';
import { stopFields } from './stop-fields';

/** Events of a message: its blocks one after the other, calls of tools whole. */
export class MessagesStream implements AnswerStream {
  private open: 'thinking' | 'text' | null = null;
  /** The position of the block that is open, or the next one. */
  private at = 0;

  constructor(
    private readonly asked: Asked,
    private readonly facts: CallFacts,
  ) {}

  begin(promptTokenIds: readonly number[] | null): StreamEvent[] {
    const { id, model } = this.facts;
    const usage = { input_tokens: promptTokenIds?.length ?? 0, output_tokens: 0 };
    const rest = { content: [], stop_reason: null, stop_sequence: null, usage };
    return [
      told('message_start', {
        message: { id: `msg_${id}`, type: 'message', role: 'assistant', model, ...rest },
      }),
      told('ping', {}),
    ];
  }

  grow({ reasoning, content }: Growth): StreamEvent[] {
    return [
      ...(reasoning === '' ? [] : this.write('thinking', reasoning)),
      ...(content === '' ? [] : this.write('text', content)),
    ];
  }

  end([answer]: readonly Answer[]): StreamEvent[] {
    const calls = toldCalls(answer!.message.toolCalls, this.asked.hasParallelCalls);
    const { promptTokens, completionTokens } = usageOf([answer!], 1);
    return [
      ...this.close(),
      ...calls.flatMap(({ id, name, arguments: input }) => [
        this.start({ type: 'tool_use', id, name, input: {} }),
        this.delta({ type: 'input_json_delta', partial_json: JSON.stringify(input) }),
        this.stop(),
      ]),
      told('message_delta', {
        delta: stopFields(answer!),
        usage: { input_tokens: promptTokens, output_tokens: completionTokens },
      }),
      told('message_stop', {}),
    ];
  }

  private write(kind: 'thinking' | 'text', text: string): StreamEvent[] {
    const isThinking = kind === 'thinking';
    const empty = isThinking ? { thinking: '', signature: '' } : { text: '' };
    const opened = this.open === kind ? [] : [...this.close(), this.start({ type: kind, ...empty })];
    this.open = kind;
    const delta = isThinking ? { type: 'thinking_delta', thinking: text } : { type: 'text_delta', text };
    return [...opened, this.delta(delta)];
  }

  private close(): StreamEvent[] {
    if (this.open === null) return [];
    this.open = null;
    return [this.stop()];
  }

  private start(block: object): StreamEvent {
    return told('content_block_start', { index: this.at, content_block: block });
  }

  private delta(delta: object): StreamEvent {
    return told('content_block_delta', { index: this.at, delta });
  }

  private stop(): StreamEvent {
    return told('content_block_stop', { index: this.at++ });
  }
}

function told(type: string, fields: object): StreamEvent {
  return { event: type, data: { type, ...fields } };
}
