import type { Completion, Prompt, Sampling } from '@forge/contracts';
import type { ChatPolicy, GrowingAnswer, GrowingText, SettledAnswer } from '@forge/rl';

/** Tokens that a completion has grown by. Shapes: tokenIds, logprobs [T]. */
export interface CompletionGrowth {
  rolloutId: string;
  tokenIds: readonly number[];
  logprobs: readonly number[];
}

export interface DrawRequest {
  prompt: Prompt;
  sampling: Partial<Sampling>;
  /** One for each completion; with the policy's seed they decide what is drawn. */
  rolloutIds: readonly string[];
}

/** The policy behind the gateway. */
export interface GatewayPolicy extends Pick<ChatPolicy, 'renderChat' | 'parseAnswer'> {
  /** The completions, in the order of their ids; `grown` is told of them while they are generated. */
  draw(
    request: DrawRequest,
    signal: AbortSignal,
    grown: ((growth: CompletionGrowth) => Promise<void>) | null,
  ): Promise<Completion[]>;
  /** The text that a completion of which there are these token ids so far is sure to begin with. */
  settledText(request: GrowingText): Promise<string>;
  /** The parts that `parseAnswer` is sure to find in an answer of which there are these token ids so far. */
  settledAnswer(request: GrowingAnswer): Promise<SettledAnswer>;
  /** Text that each of the tokens at `positions`, in ascending order, adds; special ones included. */
  tokenTexts(tokenIds: readonly number[], positions: readonly number[]): Promise<string[]>;
}
