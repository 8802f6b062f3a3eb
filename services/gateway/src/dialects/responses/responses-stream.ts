import type { Answer, Growth } from '../../answers/answer';
import type { AnswerStream, CallFacts, StreamEvent } from '../dialect';
import { tokenLogprobs } from '../token-fields';
import { toldCalls } from '../tool-fields';
import {
  callItem,
  messageItem,
  reasoningItem,
  reasoningPart,
  textPart,
  type ItemIds,
  type ItemStatus,
} from './response-items';
import type { ResponsesRequest } from './responses-request';

/** The item that grows. */
interface OpenItem {
  kind: 'reasoning' | 'message';
  ids: ItemIds;
  text: string;
  logprobs: object[];
}

/** Events of a response: its items one after the other, calls of tools whole. */
export class ResponsesStream implements AnswerStream {
  private sequence = 0;
  private open: OpenItem | null = null;
  /** Log-probs of tokens whose text has not come yet. */
  private readonly logprobs: object[] = [];
  private readonly items: object[] = [];

  constructor(
    private readonly asked: ResponsesRequest,
    private readonly facts: CallFacts,
    private readonly response: (answer: Answer | null, items: readonly object[]) => object,
  ) {}

  begin(): StreamEvent[] {
    const response = this.response(null, []);
    return [this.told('response.created', { response }), this.told('response.in_progress', { response })];
  }

  grow({ reasoning, content, tokenTexts, logprobs }: Growth): StreamEvent[] {
    if (tokenTexts !== null) this.logprobs.push(...tokenLogprobs(tokenTexts, logprobs));
    return [
      ...(reasoning === '' ? [] : this.write('reasoning', reasoning)),
      ...(content === '' ? [] : this.write('message', content)),
    ];
  }

  end([answer]: readonly Answer[]): StreamEvent[] {
    const isCut = answer!.completion.stopReason === 'length';
    const calls = toldCalls(answer!.message.toolCalls, this.asked.hasParallelCalls);
    const hasMessage = this.open?.kind === 'message' || calls.length > 0;
    const message = hasMessage ? [] : this.start('message');
    const events = [...message, ...this.close(isCut ? 'incomplete' : 'completed')];
    for (const call of calls) {
      const ids = this.nextIds();
      const place = { item_id: `fc_${ids.id}_${ids.at}`, output_index: ids.at };
      const given = JSON.stringify(call.arguments);
      events.push(
        this.added(ids, callItem(ids, 'in_progress', call, '')),
        this.told('response.function_call_arguments.delta', { ...place, delta: given }),
        this.told('response.function_call_arguments.done', { ...place, name: call.name, arguments: given }),
        this.done(ids, callItem(ids, 'completed', call)),
      );
    }
    const last = isCut ? 'response.incomplete' : 'response.completed';
    return [...events, this.told(last, { response: this.response(answer!, this.items) })];
  }

  private write(kind: OpenItem['kind'], text: string): StreamEvent[] {
    const started = this.open?.kind === kind ? [] : [...this.close('completed'), ...this.start(kind)];
    const open = this.open!;
    open.text += text;
    const delta = { ...place(open), delta: text };
    if (kind === 'reasoning') return [...started, this.told('response.reasoning_text.delta', delta)];
    const logprobs = this.logprobs.splice(0);
    open.logprobs.push(...logprobs);
    return [...started, this.told('response.output_text.delta', { ...delta, logprobs })];
  }

  private start(kind: OpenItem['kind']): StreamEvent[] {
    const ids = this.nextIds();
    this.open = { kind, ids, text: '', logprobs: [] };
    const part = kind === 'reasoning' ? reasoningPart('') : textPart('', []);
    return [
      this.added(ids, itemOf(this.open, 'in_progress', [])),
      this.told('response.content_part.added', { ...place(this.open), part }),
    ];
  }

  private close(status: ItemStatus): StreamEvent[] {
    const { open } = this;
    if (open === null) return [];
    this.open = null;
    const { kind, ids, text } = open;
    const logprobs = kind === 'reasoning' ? [] : [...open.logprobs, ...this.logprobs.splice(0)];
    const part = kind === 'reasoning' ? reasoningPart(text) : textPart(text, logprobs);
    const done = { ...place(open), text };
    return [
      kind === 'reasoning'
        ? this.told('response.reasoning_text.done', done)
        : this.told('response.output_text.done', { ...done, logprobs }),
      this.told('response.content_part.done', { ...place(open), part }),
      this.done(ids, itemOf(open, status, [part])),
    ];
  }

  private added({ at }: ItemIds, item: object): StreamEvent {
    return this.told('response.output_item.added', { output_index: at, item });
  }

  private done({ at }: ItemIds, item: object): StreamEvent {
    this.items.push(item);
    return this.told('response.output_item.done', { output_index: at, item });
  }

  private nextIds(): ItemIds {
    return { id: this.facts.id, at: this.items.length };
  }

  private told(type: string, fields: object): StreamEvent {
    return { event: type, data: { type, sequence_number: this.sequence++, ...fields } };
  }
}

function place({ kind, ids: { id, at } }: OpenItem): object {
  return {
    item_id: `${kind === 'reasoning' ? 'rs' : 'msg'}_${id}_${at}`,
    output_index: at,
    content_index: 0,
  };
}

function itemOf({ kind, ids }: OpenItem, status: ItemStatus, parts: readonly object[]): object {
  return kind === 'reasoning' ? reasoningItem(ids, parts) : messageItem(ids, status, parts);
}
