/**
 * Form of a call of a tool in an answer.
 *
 * - `tagged-json`: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, once for each call, or a list in one.
 * - `tagged-xml`:  `<tool_call><function=name><parameter=key>value</parameter></function></tool_call>`.
 * - `bare-json`:   `{"name": ..., "parameters": {...}}` and nothing else, perhaps behind `<|python_tag|>`.
 */
export type CallForm = 'tagged-json' | 'tagged-xml' | 'bare-json';

/** Parts of a conversation that a chat template can write, by its own text without comments. */
export interface TemplateTraits {
  /** Whether it tells the model of tools. */
  readonly tools: boolean;
  /** Whether it writes the calls of an answer, in a form that its models were told of or that is known here. */
  readonly calls: boolean;
  /** Whether it has a turn for what a tool answers. */
  readonly toolTurns: boolean;
  /** Place it takes the thinking of an answer from: a field of its own, or the content, between tags; null: it knows none. */
  readonly thinking: 'field' | 'content' | null;
  /** The form of calls; null: one that is unknown here. */
  readonly callForm: CallForm | null;
}

/** Form in which models are told to call tools when their template has none. */
const DEFAULT_FORM = 'tagged-json';

export function templateTraits(source: string): TemplateTraits {
  const code = source.replace(/\{#[^]*?#\}/g, '');
  const has = (text: string): boolean => code.includes(text);
  const tools = /\btools\b/.test(code);
  const known = callForm(has);
  return {
    tools,
    calls: has('tool_calls') && (tools || known !== null),
    toolTurns: /(["'])(tool|ipython)\1/.test(code),
    thinking: has('reasoning_content') ? 'field' : has('</think>') ? 'content' : null,
    callForm: known ?? (tools ? null : DEFAULT_FORM),
  };
}

function callForm(has: (text: string) => boolean): CallForm | null {
  if (has('<function=') && has('<parameter=')) return 'tagged-xml';
  if (has('<tool_call>')) return has('<arg_key>') ? null : 'tagged-json';
  return has('"parameters": ') && (has('ipython') || has('<|python_tag|>')) ? 'bare-json' : null;
}
