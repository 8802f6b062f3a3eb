import type { ChatMessage, Completion, ForkReason, Prompt, Sampling, ToolSpec } from '@forge/contracts';

export interface RenderRequest {
  messages: ChatMessage[];
  tools?: ToolSpec[] | undefined;
}

export interface BridgeRequest {
  /** Tokens that stand: a prompt, and what was sampled to it. */
  tokenIds: number[];
  /** The messages they are of; the last one is the answer, as `parseAnswer` gives it. */
  before: ChatMessage[];
  /** Messages that come after it, at least one. */
  added: ChatMessage[];
  tools?: ToolSpec[] | undefined;
  /** Keep the thinking of earlier answers in the tokens where the template would leave it out (default false). */
  keepThinking?: boolean | undefined;
}

/** The tokens that stand with the added messages behind them, or the reason why these can't go there. */
export type Bridge = { tokenIds: number[] } | { fork: ForkReason };

export interface AnswerToParse {
  /** Tokens that were sampled, without the prompt. */
  tokenIds: number[];
  tools?: ToolSpec[] | undefined;
  /** Calls are named `${callIds}-0`, `${callIds}-1` (default 'call'): a text for each answer tells them apart. */
  callIds?: string | undefined;
}

/** A completion while it is sampled. */
export interface GrowingText {
  tokenIds: number[];
  /** Stop strings that it was asked to end before. */
  stop?: string[] | undefined;
}

/** An answer while it is sampled. */
export interface GrowingAnswer extends GrowingText {
  tools?: ToolSpec[] | undefined;
}

/** Parts of a growing answer that stay as they are. */
export interface SettledAnswer {
  reasoning: string;
  content: string;
}

/** A model that continues prompts and speaks in messages. */
export interface ChatPolicy {
  /** Token ids of the messages, up to where the assistant begins to speak. */
  renderChat(request: RenderRequest): Promise<number[]>;
  /** Prompt of the next turn that continues the tokens that stand, where the chat template is proved to allow it. */
  bridgeChat(request: BridgeRequest): Promise<Bridge>;
  /** The message of the assistant that sampled tokens are. A call that can't be read stays content. */
  parseAnswer(request: AnswerToParse): Promise<ChatMessage>;
  /** `n` completions (default 1) of one prompt. */
  generate(prompt: Prompt, options?: { n?: number } & Partial<Sampling>): Promise<Completion[]>;
}
