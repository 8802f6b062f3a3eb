import type { ToolCall } from '@forge/contracts';

/** Items of a response; each is named by the call and its position. */
export interface ItemIds {
  id: string;
  at: number;
}

export function reasoningItem({ id, at }: ItemIds, parts: readonly object[]): object {
  return { id: `rs_${id}_${at}`, type: 'reasoning', summary: [], content: parts };
}

export function reasoningPart(text: string): object {
  return { type: 'reasoning_text', text };
}

export function messageItem({ id, at }: ItemIds, status: ItemStatus, parts: readonly object[]): object {
  return { id: `msg_${id}_${at}`, type: 'message', role: 'assistant', status, content: parts };
}

export function textPart(text: string, logprobs: readonly object[]): object {
  return { type: 'output_text', text, annotations: [], logprobs };
}

export function callItem({ id, at }: ItemIds, status: ItemStatus, call: ToolCall, given?: string): object {
  return {
    id: `fc_${id}_${at}`,
    type: 'function_call',
    status,
    call_id: call.id,
    name: call.name,
    arguments: given ?? JSON.stringify(call.arguments),
  };
}

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';
