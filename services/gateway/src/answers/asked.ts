import type { Prompt, Sampling, ToolSpec } from '@forge/contracts';

/** Request of a client, whatever API it speaks. */
export interface Asked {
  /** Name of the model, as the client says it. */
  model: string;
  /** Each answered `n` times; messages go through the chat template, and answers to them are parsed. */
  prompts: readonly Prompt[];
  tools: readonly ToolSpec[];
  n: number;
  sampling: Partial<Sampling>;
  /** The same seed and request give the same answers; null: others every time. */
  seed: number | null;
  isStreamed: boolean;
  /** Whether the answer has the log-prob of each token. */
  withLogprobs: boolean;
  /** Whether the answer has the ids of the tokens. */
  withTokenIds: boolean;
  /** Whether an answer may call several tools; else only its first call is told. */
  hasParallelCalls: boolean;
}
