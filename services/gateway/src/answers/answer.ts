import type { ChatMessage, Completion } from '@forge/contracts';

/** One answer. Shapes: tokenTexts as the tokens of the completion. */
export interface Answer {
  completion: Completion;
  /** Message of the assistant; the content is the continuation where a text was continued. */
  message: ChatMessage;
  /** Text that each token adds, where log-probs are asked for. */
  tokenTexts: readonly string[] | null;
  /** The stop string that the answer ended before; null: it ended otherwise. */
  stopString: string | null;
}

/** Continuation of one answer, told once. Shapes: tokenIds, logprobs, tokenTexts [T]. */
export interface Growth {
  /** Position among all answers of the call. */
  index: number;
  reasoning: string;
  content: string;
  tokenIds: readonly number[];
  logprobs: readonly number[];
  tokenTexts: readonly string[] | null;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
}

/** Tokens of all answers of a call; a prompt counts once, however many answers it has. */
export function usageOf(answers: readonly Answer[], n: number): Usage {
  const completions = answers.map(({ completion }) => completion);
  return {
    promptTokens: completions
      .filter((_, i) => i % n === 0)
      .reduce((sum, { promptTokenIds }) => sum + promptTokenIds.length, 0),
    completionTokens: completions.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0),
  };
}
